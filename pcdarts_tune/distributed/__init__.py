"""Retraining by several processes: Ray Train's workers, and what ties them to the process that started them."""
