"""Flags of the binaries, one module per family, and their presets."""
