"""The names of the methods that certify, for the flags that choose them."""

from __future__ import annotations

# Those of `hydra_tf.bounds.METHODS`.
BOUNDS = ("ibp", "crown_ibp", "crown", "symbolic", "best")
SMOOTHING = "smoothing"
METHODS = (*BOUNDS, SMOOTHING)
