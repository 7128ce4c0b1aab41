"""The settings of evaluation and certification, and of their command lines."""

from __future__ import annotations

from hydra_tf.registry import attacks
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.bounds import BOUNDS
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Names
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import Numbers
from hydra_tf.registry.settings import Setting

SMOOTHING = "smoothing"
METHODS = (*BOUNDS.names, SMOOTHING)

SIGMA = Number(
    name="sigma",
    default=0.25,
    lower=0,
    exclude_lower=True,
    help="Standard deviation of smoothing's noise; best that of training.",
)
NUM_SELECTION_SAMPLES = Count(
    name="n0",
    default=100,
    lower=1,
    help="Noisy copies of an image that smoothing chooses its class by.",
)
ALPHA = Number(
    name="alpha",
    default=0.001,
    lower=0,
    upper=1,
    exclude_lower=True,
    exclude_upper=True,
    help="Probability that smoothing's answer about an image is wrong, in "
    "(0, 1).",
)
RADII = Numbers(
    name="radii",
    flag="eval_radii",
    default=(0.25, 0.5),
    lower=0,
    help="L2 radii at which smoothing certifies in the evaluation, separated "
    "by commas.",
)
NUM_SAMPLES = Count(
    name="num_samples",
    flag="eval_smoothing_samples",
    default=500,
    lower=1,
    help="Noisy copies of an image by which smoothing certifies in the "
    "evaluation: few, to have a figure; trainers.certify takes 10,000.",
)
# How an evaluation certifies by smoothing: the fields of `SmoothingSettings`.
EVALUATION_SMOOTHING = (
    RADII,
    SIGMA,
    NUM_SAMPLES,
    NUM_SELECTION_SAMPLES,
    ALPHA,
)

# What an evaluation is given: the fields of `EvaluationSettings`.
EVALUATION: tuple[Setting, ...] = (
    Names(
        name="attacks",
        flag="eval_attacks",
        default=("pgd",),
        help="Attacks under which the robust accuracy is measured, separated "
        f"by commas: {', '.join(ATTACKS.names)}, or package.module:name.",
    ),
    Names(
        name="bounds",
        default=(),
        choices=BOUNDS.names,
        help="Methods that prove by bounds, within the radius of the attacks.",
    ),
    attacks.EPSILON,
    attacks.STEP_SIZE,
    attacks.NUM_STEPS,
    attacks.NUM_RESTARTS,
    attacks.THREAT_MODEL,
    attacks.BATCH_SIZE,
    attacks.SEED,
)
# Of the command line: bounds and smoothing in one list, and the images.
CERTIFY = Names(
    name="certify",
    flag="eval_certify",
    default=None,
    choices=METHODS,
    help="Methods by which the certified accuracy is measured, separated by "
    f"commas: {', '.join(METHODS)}; empty for none. By default those that the "
    "objective trains for, and none for objectives whose networks are seldom "
    "provable.",
)
NUM_EXAMPLES = Count(
    name="num_examples",
    flag="eval_examples",
    default=None,
    lower=1,
    help="Test images evaluated, the first ones of the split. By default all; "
    "of imagenet2012, of which each needs 0.6 MB of memory, 1000.",
)

# Of the certification's command line, where Linf and L2 radii are two flags.
EPSILONS = Numbers(
    name="epsilons",
    default=None,
    lower=0,
    upper=1,
    help="Linf radii at which bounds certify, for images in [0, 1], separated "
    "by commas. By default 1/255,2/255,4/255,8/255.",
)
L2_RADII = Numbers(
    name="radii",
    default=None,
    lower=0,
    help="L2 radii at which smoothing's certified accuracy is reported, for "
    "images in [0, 1], separated by commas. By default 0.25,0.5,0.75,1.",
)
NUM_CERTIFIED = Count(
    name="num_examples",
    default=None,
    lower=1,
    help="Test images certified, the first ones of the split. By default all; "
    "of imagenet2012, of which each needs 0.6 MB of memory, 1000. With a "
    "larger number, the same folder is resumed.",
)

# What a certification is given: the fields of `CertificationSettings`.
CERTIFICATION: tuple[Setting, ...] = (
    Choice(
        name="method",
        default="crown_ibp",
        choices=METHODS,
        help="How robustness is proved, for Linf radii, from loose and fast "
        "to tight and slow: interval bounds (ibp), CROWN over them "
        "(crown_ibp), symbolic intervals (symbolic), CROWN throughout "
        "(crown), the larger of ibp and crown (best); or for L2 radii by "
        "sampling under noise (smoothing).",
    ),
    Numbers(
        name="radii",
        default=None,
        lower=0,
        help="Radii certified: Linf for bounds, by default "
        "1/255,2/255,4/255,8/255; L2 for smoothing, by default "
        "0.25,0.5,0.75,1.",
    ),
    SIGMA,
    NUM_SELECTION_SAMPLES,
    Count(
        name="n",
        default=10_000,
        lower=1,
        help="Noisy copies of an image that smoothing bounds the share of "
        "that class by. With more of them the radius may be larger.",
    ),
    ALPHA,
    Choice(
        name="dtype",
        default="float32",
        choices=("float32", "float64"),
        help="Precision in which bounds are computed. Rounding matters to "
        "margins within about 1e-5 of 0 in float32, 1e-13 in float64.",
    ),
    Count(
        name="batch_size",
        default=None,
        lower=1,
        help="Images (with smoothing: noisy copies) at a time. By default as "
        "many as memory allows for.",
    ),
    Count(name="seed", default=0, help="Seed of smoothing's noise."),
)
