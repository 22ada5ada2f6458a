"""Samplers that Optuna does not have in the form a sweep needs: each proposal depends on (seed, number, what is known)."""
