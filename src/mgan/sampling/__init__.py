"""The decode engine: everything that samples from a generator samples here."""
