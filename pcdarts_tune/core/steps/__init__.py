"""How a training step is executed and kept: precision, CUDA graphs, optimisers, measures, checkpoints."""
