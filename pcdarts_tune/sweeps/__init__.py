"""A sweep: its record, its study, its trials on Ray Tune, its leaderboard. It imports training and what lies below it."""
