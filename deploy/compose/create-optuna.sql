-- Optuna and MLflow call their tables of versions alike, so each has a database; MLflow's is POSTGRES_DB.
CREATE DATABASE optuna;
