"""Turning checkpoints of other programs into networks of this one."""
