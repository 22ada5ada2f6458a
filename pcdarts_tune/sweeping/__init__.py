"""How a sweep runs: Ray Tune over the study, resources, what a trial is told and leaves. `sweep` is the door."""
