"""What runs in a worker: one trial, from the search to its outcome. It imports the study's objectives and what lies below
sweeps."""
