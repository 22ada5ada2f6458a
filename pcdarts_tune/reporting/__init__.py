"""`report`: facts read from a sweep's study, Optuna's plots of them, and one HTML page. It imports sweeps and what lies below
them."""
