"""Benchmark suites: protocol, splits, seeds, budget and search space as data, and the study that plays them."""
