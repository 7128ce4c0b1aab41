"""Binaries: `python -m trainers.NAME`, and what they share."""
