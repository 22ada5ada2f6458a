"""The algorithm: supernet, search, derivation, evaluation network. It needs torch and torchvision alone, and imports
nothing else of this package."""
