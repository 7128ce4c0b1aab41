"""Labelling images with a trained network."""
