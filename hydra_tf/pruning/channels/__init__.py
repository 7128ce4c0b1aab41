"""Which channels have to live or die together, and what they cost."""
