"""Commands about what a home holds: list it, compare, mark and remove. One module for each, as in cli/commands."""
