"""Measuring what a network withstands: attacks, bounds, smoothing."""
