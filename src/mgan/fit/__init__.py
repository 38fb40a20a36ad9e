"""Supervised fitting, without a game: maximum likelihood, classifiers, and what both cost."""
