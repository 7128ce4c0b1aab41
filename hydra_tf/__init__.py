"""Prune adversarially robust neural networks in TensorFlow and Keras 3."""

__version__ = "0.1.0"
