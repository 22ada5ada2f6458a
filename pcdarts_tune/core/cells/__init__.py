"""Families of cells: what a genotype of each is, how it is read, drawn at random and derived. Needs no torch until it derives."""
