"""Where a run, trial or model comes from, how two differ, and running one again. It imports sweeps and what lies below
them."""
