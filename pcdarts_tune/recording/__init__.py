"""What goes to MLflow and how it is found again: deliveries, names, provenance. `tracking` is the door."""
