"""The players: two protocols, then one file an architecture."""
