"""What memory a run will take, told from its configuration: networks without weights, work without numbers."""
