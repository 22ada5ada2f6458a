"""The algorithm: supernet, search, derivation, evaluation network. It needs torch and torchvision alone."""
