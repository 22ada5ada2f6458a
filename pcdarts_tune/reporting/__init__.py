"""The report of a sweep as one HTML page and as JSON. It imports sweeps and what lies below them."""
