"""The fast form of a cell of the supernet: the mathematics of `core.textbook` in few, large kernels."""
