"""`doctor`: checks of versions, machine, stores, Ray and data. It imports sweeps and what lies below them."""
