"""The recipes' rules: what holds unless it is given."""

from __future__ import annotations


def peak_learning_rate(optimizer: str, phase: str) -> float:
    """Returns the peak learning rate of a phase.

    Args:
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`.
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
    """
    rate = 0.1 if optimizer == "sgd" else 1e-3
    return rate / 10 if phase == "finetune" else rate
