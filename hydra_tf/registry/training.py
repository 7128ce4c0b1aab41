"""The settings of training a phase: optimiser, precision, devices."""

from __future__ import annotations

import dataclasses
from typing import Any

from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Fraction
from hydra_tf.registry.settings import Number
from hydra_tf.registry.settings import OpenChoice
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.settings import Text

OPTIMIZER_NAME = Choice(
    name="optimizer",
    default="sgd",
    choices=("sgd", "adam", "rmsprop"),
    help="Optimiser.",
)
LEARNING_RATE = Number(
    name="learning_rate",
    default=None,
    lower=0,
    exclude_lower=True,
    help="Peak learning rate. By default that of the recipe: with sgd 0.1 "
    "to pretrain and prune and 0.01 to finetune, with adam and rmsprop "
    "0.001 and 0.0001.",
)
OPTIMIZER = (
    OPTIMIZER_NAME,
    LEARNING_RATE,
    Choice(
        name="lr_schedule",
        default="cosine",
        choices=("cosine", "one_cycle", "step", "constant"),
        help="How the learning rate changes over a phase. cosine, step and "
        "constant set it at the start of each epoch; one_cycle rises for 30 % "
        "of the steps and falls to 0, for short trainings at a large peak.",
    ),
    Count(
        name="warmup_epochs",
        default=0,
        help="Epochs at --warmup_learning_rate before --lr_schedule begins; "
        "they count among those of the phase.",
    ),
    Number(
        name="warmup_learning_rate",
        default=None,
        lower=0,
        exclude_lower=True,
        help="Learning rate of the warm-up epochs. By default a tenth of the "
        "peak.",
    ),
    Number(
        name="momentum",
        default=0.9,
        lower=0,
        upper=1,
        exclude_upper=True,
        help="Momentum of sgd and rmsprop, in [0, 1).",
    ),
    Number(
        name="weight_decay",
        default=1e-4,
        lower=0,
        help="Weight decay, at least 0. It acts on the scores where they train "
        "in place of weights.",
    ),
    Number(
        name="gradient_clipping",
        default=0.0,
        lower=0,
        help="Largest L2 norm of the gradient of all that trains together, at "
        "least 0, such as 1 for vision transformers; a longer one is scaled "
        "down. With 0 none is.",
    ),
)
EPOCHS = Count(name="epochs", help="Epochs of the phase.")
# Those of the usual course.
PHASE_EPOCHS = {
    phase: Count(name=f"{phase}_epochs", default=default, help=help)
    for phase, default, help in (
        (
            "pretrain",
            100,
            "Epochs of pretraining; not used where --source gives the network.",
        ),
        (
            "prune",
            20,
            "Epochs of pruning; none for methods that do not train, such as "
            "lwm, random and snip without --multistep.",
        ),
        (
            "finetune",
            100,
            "Epochs of finetuning. With 0 the pruned network is the result, as "
            "in the search for robust sub-networks.",
        ),
    )
}
# In place of LEARNING_RATE, for one phase of several.
PHASE_LEARNING_RATES = {
    phase: dataclasses.replace(
        LEARNING_RATE,
        name=f"{phase}_learning_rate",
        help=f"Peak learning rate of the {phase} phase. By default "
        "--learning_rate, or the recipe's.",
    )
    for phase in PHASE_EPOCHS
}
SEED = Count(
    name="seed",
    default=0,
    help="Seed of the initial weights, the order of the images and the "
    "attacks.",
)
PRECISION = Choice(
    name="precision",
    default="float32",
    choices=("float32", "mixed_bfloat16", "mixed_float16"),
    help="Precision of the computation; kernels and scores stay float32.",
)
VALIDATION_FRACTION = Fraction(
    name="validation_fraction",
    default=0.0,
    exclude_upper=True,
    help="Fraction of the training images that do not train, in [0, 1): after "
    "every epoch the network is measured on them, as they are and under ten "
    "steps of PGD within the radius of the evaluation.",
)
SELECT = Choice(
    name="select",
    default="last",
    choices=("last", "best"),
    help="Which epoch's weights a phase ends with: the last, or the best by "
    "its certified, else robust accuracy on the images of "
    "--validation_fraction. Where densities are learned, it is always the "
    "best that met their target, without validation by accuracy in training.",
)
PATIENCE = Count(
    name="patience",
    default=0,
    help="A phase stops early once so many epochs in a row were no better by "
    "their certified, else robust accuracy on the images of "
    "--validation_fraction, and ends with the best of them, as with "
    "--select=best; 0 for none. Epochs in which the radius of the objective "
    "still grows, and those before the target density, are not among them.",
)
WARM_START = Switch(
    name="warm_start",
    default=False,
    help="Whether the attack of a training step starts from the perturbations "
    "of the batch before, in place of fresh noise: a guard against overfitting "
    "to attacks of one or two steps (madry, trades, mart, fgsm).",
)
NUM_STEPS_RAMP = Fraction(
    name="num_steps_ramp",
    default=0.0,
    help="Share of the epochs of a phase in which the attack steps grow from 1 "
    "to --num_steps, in [0, 1] (madry, trades, mart). 0: all from the "
    "beginning.",
)
# How the attacks of training are made cheaper.
ATTACK = (WARM_START, NUM_STEPS_RAMP)
WEIGHT_AVERAGING = Fraction(
    name="weight_averaging",
    default=0.0,
    exclude_upper=True,
    help="Decay of an exponential moving average of the weights, in [0, 1), "
    "such as 0.99: validation measures the average, and a phase ends with it. "
    "With 0 there is none.",
)
WEIGHT_PERTURBATION = Fraction(
    name="weight_perturbation",
    default=0.0,
    exclude_upper=True,
    help="Adversarial weight perturbation (AWP) where weights train: radius "
    "relative to the norm of each kernel, in [0, 1), such as 0.005 for trades "
    "and 0.01 for madry. A step takes a forward and a backward pass more. With "
    "0 there is none.",
)
PERTURBATION_WARMUP = Count(
    name="perturbation_warmup",
    default=0,
    help="Epochs of each phase before --weight_perturbation and "
    "--score_perturbation begin.",
)
# What training does with the weights beside the optimiser's step.
WEIGHTS = (WEIGHT_AVERAGING, WEIGHT_PERTURBATION, PERTURBATION_WARMUP)
QUANTIZE = Choice(
    name="quantize",
    default="none",
    choices=("none", "int8"),
    help="Quantisation-aware finetuning: with int8 masked layers compute in "
    "the finetune phase with weights and inputs rounded as the int8 formats of "
    "trainers.export round them, attack included. The network stays a float "
    "one.",
)


# How a phase is computed, which leaves its result as it is up to rounding.
def _names_a_number(value: Any) -> bool:
    name, _, number = str(value).partition(":")
    return name == "mirrored" and number.isdecimal() and int(number) > 0


STRATEGY = OpenChoice(
    name="strategy",
    default="auto",
    choices=("auto", "none", "mirrored", "multi_worker", "tpu"),
    others=_names_a_number,
    or_else="'mirrored:2' for so many devices",
    help="Distribution of training: mirrored uses all devices of this machine, "
    "mirrored:2 the first two (of a machine without GPUs, logical ones made "
    "for a test); auto is mirrored where there is more than one GPU. "
    "multi_worker trains on all workers of --cluster_resolver, each started "
    "with the same command; --batch_size is that of all together.",
)
# Where the workers of a cluster are, and how long to wait for them.
CLUSTER = (
    Choice(
        name="cluster_resolver",
        default="tf_config",
        choices=("tf_config", "slurm", "kubernetes"),
        help="Where multi_worker finds its workers: the environment variable "
        "TF_CONFIG, the variables of a Slurm step, or the pods of "
        "--kubernetes_job.",
    ),
    Count(
        name="num_workers",
        default=None,
        lower=1,
        help="Number of workers that there must be. By default those that "
        "--cluster_resolver names; needed with kubernetes, which names those "
        "alone that run already.",
    ),
    Count(
        name="worker_timeout",
        default=600,
        lower=1,
        help="Seconds to wait at the start until all workers are there.",
    ),
    Text(
        name="kubernetes_job",
        default="tensorflow",
        help="Name of the Kubernetes Job whose pods are the workers.",
    ),
)
STEPS_PER_EXECUTION = Count(
    name="steps_per_execution",
    default=1,
    lower=1,
    help="Training steps per call into TensorFlow, a divisor of the steps of "
    "an epoch. Masks that move are updated between calls, a little later than "
    "with 1; fewer steps where they are updated more often.",
)
JIT_COMPILE = Choice(
    name="jit_compile",
    default="auto",
    choices=("auto", "on", "off"),
    help="Whether XLA compiles the training step: auto does on GPUs, not on "
    "CPUs, where it is slower.",
)
PROGRESS = Choice(
    name="progress",
    default="auto",
    choices=("auto", "steps", "epochs", "none"),
    help="What is shown while training: every step, every epoch, or nothing. "
    "auto shows steps on a terminal, epochs elsewhere.",
)
EXECUTION = (STRATEGY, STEPS_PER_EXECUTION, JIT_COMPILE)
