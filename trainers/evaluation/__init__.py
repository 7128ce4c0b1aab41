"""Measuring a network: after a phase, or one given by `--source`."""
