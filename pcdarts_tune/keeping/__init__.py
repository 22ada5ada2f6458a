"""What a home holds and what of it can go: lists of sweeps and models, deletion, clean-up, notes. It imports sweeps and what
lies below them."""
