"""Attacks: images in a small ball that a network gets wrong."""

from hydra_tf.attacks.apgd import apgd
from hydra_tf.attacks.autoattack import AutoAttackResult
from hydra_tf.attacks.autoattack import autoattack
from hydra_tf.attacks.cleverhans_bridge import cleverhans_attack
from hydra_tf.attacks.fab import fab
from hydra_tf.attacks.fgsm import fgsm
from hydra_tf.attacks.fmn import fmn
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.losses import dlr_loss
from hydra_tf.attacks.losses import dlr_targeted_loss
from hydra_tf.attacks.losses import kl_divergence
from hydra_tf.attacks.losses import margin_loss
from hydra_tf.attacks.pgd import pgd
from hydra_tf.attacks.square import square
from hydra_tf.registry.attacks import register

__all__ = [
    "AutoAttackResult",
    "apgd",
    "as_logits_function",
    "autoattack",
    "cleverhans_attack",
    "cross_entropy",
    "dlr_loss",
    "dlr_targeted_loss",
    "fab",
    "fgsm",
    "fmn",
    "kl_divergence",
    "margin_loss",
    "pgd",
    "register",
    "square",
]
