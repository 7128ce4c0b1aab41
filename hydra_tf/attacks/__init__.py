"""Attacks: images in a small ball that a network gets wrong."""

from hydra_tf.attacks.cleverhans_bridge import cleverhans_attack
from hydra_tf.attacks.fgsm import fgsm
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.pgd import pgd

__all__ = [
    "as_logits_function",
    "cleverhans_attack",
    "fgsm",
    "pgd",
]
