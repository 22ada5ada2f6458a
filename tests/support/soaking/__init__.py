"""The parts of benchmarks/stores/soak.py: sweeps that are killed at random moments, and the audit of what they leave."""
