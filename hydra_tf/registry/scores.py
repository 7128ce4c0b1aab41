"""The score initialisations: where importance scores start.

To add one, write a function into `hydra_tf/pruning/scores.py`, or a file of
its own, and its row here. It is called as

    function(network, groups, *, seed, data) -> [scores of each group]

with the masked network, its `ChannelGroup`s (layers that share their scores),
a seed or `None`, and a batch `(images, labels)` or `None`. One from outside the
library is named `package.module:function`, or added by `SCORES.register`; give
it the attribute `needs_data = True` if it cannot do without the batch.
"""

from __future__ import annotations

import dataclasses

from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoresEntry(Entry):
    """A row of `SCORES`.

    Attributes:
        needs_data: Whether it looks at a batch of images.
    """

    needs_data: bool = False


def _row(name: str, help: str, needs_data: bool = False) -> ScoresEntry:
    return ScoresEntry(
        name=name,
        target=f"hydra_tf.pruning.scores:{name}",
        help=help,
        needs_data=needs_data,
    )


SCORES: Registry[ScoresEntry] = Registry(
    "score initialisation",
    (
        _row("scaled", "sqrt(6 / fan_in) * w / max|w|, per layer"),
        _row("magnitude", "|w|"),
        _row("random", "uniform in (0, 1)"),
        _row("kaiming_uniform", "uniform of variance 2 / fan_in"),
        _row("kaiming_normal", "normal of variance 2 / fan_in"),
        _row("xavier_uniform", "uniform of variance 2 / (fan_in + fan_out)"),
        _row("xavier_normal", "normal of variance 2 / (fan_in + fan_out)"),
        _row(
            "snip",
            "|w * dL/dw| of the unpruned network on one batch",
            needs_data=True,
        ),
    ),
    ScoresEntry,
)
