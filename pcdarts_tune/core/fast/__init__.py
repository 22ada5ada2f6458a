"""The fast form of a cell of the supernet: the same mathematics as `core.textbook` in few, large kernels. It imports
only the core."""
