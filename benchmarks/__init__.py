"""Measurements: speed, memory, and what the method gains."""
