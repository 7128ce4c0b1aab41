"""The objectives: what training minimises.

To add one, write its class in a file of `hydra_tf/objectives/` and its row
here; `hydra_tf.objectives.register` adds one from outside the library. The
constructors check their arguments with the settings of this table.
"""

from __future__ import annotations

import dataclasses

from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Limits
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Radius
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveEntry(Entry):
    """A row of `OBJECTIVES`.

    Attributes:
        certified_by: Methods of `hydra_tf.registry.bounds` and smoothing that
            its networks are certified by unless others are named; empty where
            networks are seldom provable.
        needs_bounds: Whether it trains on bounds, so that every layer of the
            network must have a rule for them.
        ramp_share: Share of the epochs of pretraining in which the radius
            grows from 0, as the recipes have it; `None` for a fixed radius.
    """

    certified_by: tuple[str, ...] = ()
    needs_bounds: bool = False
    ramp_share: float | None = None


EPSILON = Radius(
    name="epsilon",
    default=8 / 255,
    help="Radius of the perturbations, in the units of images in [0, 1].",
)
STEP_SIZE = Radius(
    name="step_size",
    default=None,
    help="Length of an attack step in training, in the units of --epsilon. By "
    "default epsilon / 4, which is 2/255 at 8/255; for l2, 2 epsilon / "
    "num_steps.",
)
NUM_STEPS = Count(
    name="num_steps", default=10, lower=0, help="Attack steps in training."
)
THREAT_MODEL = Choice(
    name="threat_model",
    default="linf",
    choices=("linf", "l2"),
    help="Norm in which --epsilon is measured, in training and evaluation.",
)
RANDOM_START = Switch(
    name="random_start",
    default=True,
    help="Whether the attack starts uniformly within the ball.",
)
NOISE_MAGNITUDE = Number(
    name="noise_magnitude",
    default=0.0,
    lower=0,
    help="Uniform noise before the step of fgsm, in units of --epsilon; what "
    "the step reaches is then not projected (N-FGSM, which has 2). 0 for none.",
)
N_REPEATS = Count(
    name="n_repeats",
    default=4,
    lower=1,
    help="Times that a step of free_at replays its batch. Each is an update of "
    "the weights, so that recipes take as many times fewer epochs.",
)
STAY_IN_RANGE = Switch(
    name="stay_in_range",
    default=False,
    help="Whether the perturbation that free_at carries on stays within the "
    "image range, and climbs by the gradient of the perturbed image. In the "
    "original it does not, and has no gradient where an image is clipped.",
)
BETA = Number(
    name="beta",
    default=6.0,
    lower=0,
    help="Weight of the robust term.",
)
CLIP = Limits(
    name="clip",
    flag=None,
    default=(0.0, 1.0),
    help="Least and largest value of a pixel, or None for no limits: what "
    "images are checked against, and perturbed images are clipped to.",
)
CROWN_WEIGHT = Number(
    name="crown_weight",
    default=None,
    lower=0,
    upper=1,
    help="Share of CROWN bounds in crown_ibp, the rest being interval bounds. "
    "By default it falls from 1 to 0 while the radius ramps up, and stays 0.",
)
SYMBOLIC_WEIGHT = Number(
    name="symbolic_weight",
    default=0.1,
    lower=0,
    help="Weight of the robust term of mixtrain until the radius is full; from "
    "then on it is multiplied by 2.5 every 5 epochs, up to 50.",
)
PROBABILITY = Number(
    name="probability",
    flag="symbolic_probability",
    default=0.8,
    lower=0,
    upper=1,
    help="Probability that a step of mixtrain has its robust term, in [0, 1].",
)
NUM_EXAMPLES = Count(
    name="num_examples",
    flag="symbolic_examples",
    default=5,
    lower=1,
    help="Images of a batch that the robust term of mixtrain is computed on.",
)
SIGMA = Number(
    name="sigma",
    default=0.25,
    lower=0,
    exclude_lower=True,
    help="Standard deviation of the noise of smoothing, in training and in its "
    "certification, in the units of images in [0, 1].",
)
FORM = Choice(
    name="form",
    flag="smoothing_form",
    default="stability",
    choices=("stability", "noise"),
    help="Loss of smoothing: cross-entropy on the images plus --beta times the "
    "divergence that noise causes (stability), or cross-entropy on noisy "
    "images (noise).",
)
RAMP = Choice(
    name="shape",
    flag="ramp",
    default="linear",
    choices=("linear", "smoothed"),
    help="Shape of the ramp: a straight line, or one that starts gently "
    "(smoothed).",
)
_ATTACK = (EPSILON, STEP_SIZE, NUM_STEPS, THREAT_MODEL, CLIP)
_BOUNDS = (dataclasses.replace(EPSILON, default=2 / 255), CLIP)

OBJECTIVES: Registry[ObjectiveEntry] = Registry(
    "objective",
    (
        ObjectiveEntry(
            name="natural",
            target="hydra_tf.objectives.natural:Natural",
            help="cross-entropy on the images",
            settings=(CLIP,),
        ),
        ObjectiveEntry(
            name="madry",
            target="hydra_tf.objectives.madry:Madry",
            help="cross-entropy on PGD adversarial images",
            settings=(*_ATTACK, RANDOM_START),
        ),
        ObjectiveEntry(
            name="trades",
            target="hydra_tf.objectives.trades:TRADES",
            help="TRADES: natural accuracy against stability",
            settings=(*_ATTACK, BETA),
        ),
        ObjectiveEntry(
            name="mart",
            target="hydra_tf.objectives.mart:MART",
            help="MART: TRADES with more weight on misclassified images",
            settings=(*_ATTACK, BETA),
        ),
        ObjectiveEntry(
            name="fgsm",
            target="hydra_tf.objectives.fgsm:FGSM",
            help="cross-entropy on FGSM adversarial images",
            settings=(
                EPSILON,
                dataclasses.replace(
                    STEP_SIZE,
                    help="Length of the step of fgsm, by default epsilon.",
                ),
                THREAT_MODEL,
                dataclasses.replace(RANDOM_START, default=False),
                NOISE_MAGNITUDE,
                CLIP,
            ),
        ),
        ObjectiveEntry(
            name="free_at",
            target="hydra_tf.objectives.free_at:FreeAT",
            help="Free-AT: replays of each batch, one gradient for weights and "
            "attack",
            settings=(
                EPSILON,
                dataclasses.replace(
                    STEP_SIZE,
                    help="Length of the steps of free_at, by default epsilon.",
                ),
                N_REPEATS,
                STAY_IN_RANGE,
                THREAT_MODEL,
                CLIP,
            ),
        ),
        ObjectiveEntry(
            name="ibp",
            target="hydra_tf.objectives.ibp:IBP",
            help="cross-entropy of the worst logits of interval bounds",
            settings=_BOUNDS,
            certified_by=("ibp", "crown_ibp"),
            needs_bounds=True,
            ramp_share=0.6,
        ),
        ObjectiveEntry(
            name="crown_ibp",
            target="hydra_tf.objectives.crown_ibp:CROWNIBP",
            help="the same of CROWN-IBP bounds",
            settings=(*_BOUNDS, CROWN_WEIGHT),
            certified_by=("ibp", "crown_ibp"),
            needs_bounds=True,
            ramp_share=0.6,
        ),
        ObjectiveEntry(
            name="mixtrain",
            target="hydra_tf.objectives.mixtrain:MixTrain",
            help="cross-entropy, and that of symbolic intervals on few images",
            settings=(*_BOUNDS, SYMBOLIC_WEIGHT, PROBABILITY, NUM_EXAMPLES),
            certified_by=("symbolic",),
            needs_bounds=True,
            ramp_share=0.25,
        ),
        ObjectiveEntry(
            name="smoothing",
            target="hydra_tf.objectives.smoothing:RandomizedSmoothing",
            help="stability under Gaussian noise, for randomised smoothing",
            settings=(
                SIGMA,
                dataclasses.replace(
                    BETA, help="Weight of the stability term of smoothing."
                ),
                FORM,
                CLIP,
            ),
            certified_by=("smoothing",),
        ),
    ),
    ObjectiveEntry,
)
