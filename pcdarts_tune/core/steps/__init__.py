"""How a training step is executed and kept: precision, CUDA graphs, groups of a batch, optimisers, checkpoints. It
imports only the core."""
