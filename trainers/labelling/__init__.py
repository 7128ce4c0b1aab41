"""Writing a network for serving, with `--shrink` a smaller one."""
