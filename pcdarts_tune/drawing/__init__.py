"""How a cell is laid out and painted: geometry, order, heights, wires; heat maps. `pcdarts_tune.draw` is the door."""
