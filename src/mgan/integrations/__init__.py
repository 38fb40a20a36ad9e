"""Our discriminators inside other trainers."""
