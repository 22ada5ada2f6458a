"""`sweep --plan`: what a sweep would need, measured by a few real steps. It imports sweeps and what lies below them."""
