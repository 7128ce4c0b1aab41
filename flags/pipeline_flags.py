"""Flags of the pipeline's phases."""

from __future__ import annotations

from flags.from_settings import define
from hydra_tf.registry.settings import Count

_EPOCHS = {
    phase: define(Count(name=f"{phase}_epochs", default=default, help=help))
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


def pipeline_from_flags() -> dict[str, int]:
    """Returns the epochs of each phase that the parsed flags stand for."""
    return {phase: flag.value for phase, flag in _EPOCHS.items()}
