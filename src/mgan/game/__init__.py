"""The game on paper: value functions, signals and anchors. Pure functions of tensors; torch and nothing else."""
