"""Metrics of samples: pure functions on texts, each with its definition, source, unit, direction and traps."""
