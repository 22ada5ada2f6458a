"""What a promotion is made of: who is trained, how the trainings compare, who was champion. `promotion` is the door."""
