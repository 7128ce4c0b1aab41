"""Flags of a binary that runs one phase."""

from __future__ import annotations

from flags import parsing

# The original recipe for CIFAR-10 and SVHN, adversarial training.
RECIPE_EPOCHS = {"pretrain": 100, "prune": 20, "finetune": 100}

_EPOCHS = parsing.DEFINE_count(
    "epochs",
    None,
    "Epochs of the phase. By default those of the recipe: 100 to pretrain, "
    "20 to prune, 100 to finetune.",
)


def epochs_from_flags(phase: str) -> int:
    """Returns the epochs of a phase, the recipe's if not given."""
    value = _EPOCHS.value
    return RECIPE_EPOCHS[phase] if value is None else value
