"""Searches, retrainings and fine-tunings that outlive an interruption, in one process or by workers. It imports the
cluster, tracking, models and what lies below them."""
