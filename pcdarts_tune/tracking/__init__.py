"""MLflow: runs, pictures, the model registry, the server of the pages. It is the only folder that writes to MLflow, and
imports models and what lies below them."""
