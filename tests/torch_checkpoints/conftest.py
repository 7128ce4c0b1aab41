"""What is not for pytest to import: PyTorch may be missing."""

collect_ignore = ["originals.py"]
