"""What the papers report, as JSON that ships with the package, and its loader."""
