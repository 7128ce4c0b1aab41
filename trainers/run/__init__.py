"""A run's folder: what is in it, and what it starts from."""
