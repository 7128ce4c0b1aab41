"""Flags of the certification of a network, all that its binary knows.

They are kept apart from those of training, some of which bear the same names:
`--method` is a method of proving here.
"""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import parsing
from hydra_tf.registry.evaluation import METHODS
from hydra_tf.registry.evaluation import SMOOTHING

FLAGS = flags.FlagValues()

_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Network to certify: the folder of a run, or any .keras file; with "
    "--method=smoothing also the folder of a SavedModel.",
    flag_values=FLAGS,
)
_METHOD = parsing.DEFINE_name(
    "method",
    "crown_ibp",
    METHODS,
    "How robustness is proved, for Linf radii, from loose and fast to tight "
    "and slow: interval bounds (ibp), CROWN over them (crown_ibp), symbolic "
    "intervals (symbolic), CROWN throughout (crown), the larger of ibp and "
    "crown (best); or for L2 radii by sampling under noise (smoothing).",
    flag_values=FLAGS,
)
_EPSILONS = parsing.DEFINE_numbers(
    "epsilons",
    None,
    "Linf radii at which bounds certify, separated by commas; ratios are "
    "understood. By default 1/255,2/255,4/255,8/255.",
    lower=0,
    upper=1,
    hint="Linf radii for images in [0, 1]; for 8 of 255 levels 8/255",
    flag_values=FLAGS,
)
_RADII = parsing.DEFINE_numbers(
    "radii",
    None,
    "L2 radii at which smoothing's certified accuracy is reported, separated "
    "by commas. By default 0.25,0.5,0.75,1.",
    lower=0,
    hint="L2 radii for images in [0, 1]",
    flag_values=FLAGS,
)
_SIGMA = parsing.DEFINE_number(
    "sigma",
    0.25,
    "Standard deviation of smoothing's noise; best that of training.",
    lower=0,
    exclude_lower=True,
    hint="the standard deviation of the noise",
    flag_values=FLAGS,
)
_N0 = parsing.DEFINE_count(
    "n0",
    100,
    "Noisy copies of an image that smoothing chooses its class by.",
    lower=1,
    flag_values=FLAGS,
)
_N = parsing.DEFINE_count(
    "n",
    10_000,
    "Noisy copies of an image that smoothing bounds the share of that class "
    "by. With more of them the radius may be larger.",
    lower=1,
    flag_values=FLAGS,
)
_ALPHA = parsing.DEFINE_number(
    "alpha",
    0.001,
    "Probability that smoothing's answer about an image is wrong, in (0, 1).",
    lower=0,
    upper=1,
    exclude_lower=True,
    exclude_upper=True,
    hint="the probability of a wrong certificate",
    flag_values=FLAGS,
)
_DTYPE = parsing.DEFINE_name(
    "dtype",
    "float32",
    ("float32", "float64"),
    "Precision in which bounds are computed. Rounding matters to margins "
    "within about 1e-5 of 0 in float32, 1e-13 in float64.",
    flag_values=FLAGS,
)
_DATASET = flags.DEFINE_string(
    "dataset",
    "cifar10",
    "Name of the data set, whose test split is certified.",
    flag_values=FLAGS,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of prepared data sets. By default ~/tensorflow_datasets.",
    flag_values=FLAGS,
)
_NUM_EXAMPLES = parsing.DEFINE_count(
    "num_examples",
    None,
    "Test images certified, the first ones of the split. By default all; of "
    "imagenet2012, of which each needs 0.6 MB of memory, 1000. "
    "With a larger number, the same folder is gone on with.",
    lower=1,
    flag_values=FLAGS,
)
_BATCH_SIZE = parsing.DEFINE_count(
    "batch_size",
    None,
    "Images (with smoothing: noisy copies) at a time. By default as many as "
    "memory allows for.",
    lower=1,
    flag_values=FLAGS,
)
_SEED = parsing.DEFINE_count(
    "seed", 0, "Seed of smoothing's noise.", flag_values=FLAGS
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of the results. A certification that was stopped goes on when the "
    "same command is given again.",
    flag_values=FLAGS,
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Whether to start again and replace an earlier certification in "
    "--output_dir.",
    flag_values=FLAGS,
)
_PROGRESS = parsing.DEFINE_name(
    "progress",
    "auto",
    ("auto", "steps", "none"),
    "Whether a line shows how many images are done.",
    flag_values=FLAGS,
)


@dataclasses.dataclass(frozen=True)
class CertifySettings:
    """What is certified and how; the fields are flags.

    Attributes:
        radii: Linf radii for bounds, L2 radii for smoothing, rising.
    """

    source: str
    method: str
    radii: tuple[float, ...]
    sigma: float
    n0: int
    n: int
    alpha: float
    dtype: str
    dataset: str
    data_dir: str | None
    num_examples: int | None
    batch_size: int | None
    seed: int
    output_dir: str
    overwrite: bool
    progress: str

    @property
    def smooths(self) -> bool:
        """Whether the method is randomised smoothing."""
        return self.method == SMOOTHING

    @property
    def threat_model(self) -> str:
        """The norm of the radii."""
        return "l2" if self.smooths else "linf"


def certify_from_flags() -> CertifySettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If a flag is missing, or is of another method.
    """
    if not _SOURCE.value:
        raise flags.ValidationError(
            "flag --source: is required; name the folder of a run or a .keras "
            "file"
        )
    if not _OUTPUT_DIR.value:
        raise flags.ValidationError(
            "flag --output_dir: is required; name the folder of the results"
        )
    if _METHOD.value == SMOOTHING:
        if _EPSILONS.value is not None:
            raise flags.ValidationError(
                "flag --epsilons: is of bounds; smoothing certifies L2 radii, "
                "which --radii gives"
            )
        radii = _RADII.value
        if radii is None:
            radii = [0.25, 0.5, 0.75, 1.0]
    else:
        if _RADII.value is not None:
            raise flags.ValidationError(
                f"flag --radii: is of smoothing; {_METHOD.value} certifies "
                "Linf radii, which --epsilons gives"
            )
        radii = _EPSILONS.value
        if radii is None:
            radii = [1 / 255, 2 / 255, 4 / 255, 8 / 255]
    return CertifySettings(
        source=_SOURCE.value,
        method=_METHOD.value,
        radii=tuple(radii),
        sigma=_SIGMA.value,
        n0=_N0.value,
        n=_N.value,
        alpha=_ALPHA.value,
        dtype=_DTYPE.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        num_examples=_NUM_EXAMPLES.value,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
        overwrite=_OVERWRITE.value,
        progress=_PROGRESS.value,
    )
