"""From a sweep to a registered model: candidates, trainings, comparison, registration. It imports sweeps and what lies
below them."""
