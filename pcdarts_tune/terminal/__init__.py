"""What the person at the terminal sees and types: options, progress, the live view, errors."""
