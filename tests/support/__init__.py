"""What tests and benchmarks share; benchmarks find it by `PYTHONPATH=tests`."""
