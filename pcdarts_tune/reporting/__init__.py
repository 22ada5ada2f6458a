"""What a sweep came to, as numbers, words and pictures. `pcdarts_tune.report` is the door."""
