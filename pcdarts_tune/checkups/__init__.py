"""What `doctor` looks at: versions, the machine, stores, Ray, data. `doctor` is the door."""
