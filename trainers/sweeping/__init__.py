"""A grid of runs: its cells, what they share, what became of them."""
