"""Retraining by several processes: Ray Train's workers and the driver that follows them. It imports training and what lies
below it."""
