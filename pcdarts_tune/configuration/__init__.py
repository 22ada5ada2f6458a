"""What a space may say, and how mistakes in it are found and told. `config` and `spaces` are the doors."""
