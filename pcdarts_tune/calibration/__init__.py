"""How well a space's short training ranks cells: cells of known accuracy are trained, and their scores compared with it."""
