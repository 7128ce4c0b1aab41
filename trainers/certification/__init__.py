"""Certifying a network image by image."""
