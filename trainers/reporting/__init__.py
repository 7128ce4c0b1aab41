"""The report: what runs have in their folders, on one page."""
