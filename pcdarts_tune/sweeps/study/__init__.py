"""The Optuna study of a sweep: the truth about its trials, samplers, storage, objectives. It imports only what lies below
sweeps."""
