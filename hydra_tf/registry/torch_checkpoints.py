"""The settings of reading a checkpoint of the PyTorch originals."""

from __future__ import annotations

from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Fraction
from hydra_tf.registry.settings import Numbers
from hydra_tf.registry.settings import Setting

DENSITY = Fraction(
    name="density",
    default=None,
    exclude_lower=True,
    help="The --k of the original run, which its checkpoint does not hold: 1 "
    "of a pretrained network. Not for a checkpoint without scores, whose mask "
    "are the weights that are not 0.",
)
MIN_DENSITY = Fraction(
    name="min_density",
    default=None,
    exclude_upper=True,
    help="Least density that a layer could learn in a checkpoint of HARP: its "
    "--k times its --alpha, by default a tenth of the density.",
)
NUM_CLASSES = Count(
    name="num_classes",
    default=None,
    lower=1,
    help="Number of classes, by default that of the checkpoint.",
)
MEAN = Numbers(
    name="mean",
    default=None,
    help="Means of the channels that the original subtracted from its images "
    "(of its --normalize), separated by commas; they become a layer.",
)
STD = Numbers(
    name="std",
    default=None,
    lower=0,
    exclude_lower=True,
    help="Standard deviations that it divided by, with --mean.",
)

SETTINGS: tuple[Setting, ...] = (DENSITY, MIN_DENSITY, NUM_CLASSES, MEAN, STD)
