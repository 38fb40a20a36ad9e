"""Honest measures on held-out text, and the verdict."""
