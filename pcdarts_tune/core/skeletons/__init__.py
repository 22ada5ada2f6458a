"""What networks of each family's cells are built of: which layer stands where, and each layer in search and in evaluation."""
