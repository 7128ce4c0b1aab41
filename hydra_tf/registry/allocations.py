"""The allocations: how a global density is split over the layers.

To add one, write a file of `hydra_tf/pruning/allocation/` and its row here. A
rule is called as `rule(network, density)` and returns the density of each
prunable layer by name. One from outside the library is named
`package.module:function`, or added by `ALLOCATIONS.register`.
"""

from __future__ import annotations

import dataclasses

from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry

# Not a rule: densities that train.
LEARNED = "learned"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllocationEntry(Entry):
    """A row of `ALLOCATIONS`.

    Attributes:
        nests: Whether the rule takes `nested=True`: what is pruned now is out
            of the question.
        by_shapes: Whether single weights are split by the shapes of kernels
            alone, whatever their values.
    """

    nests: bool = False
    by_shapes: bool = False


_FOLDER = "hydra_tf.pruning.allocation"

ALLOCATIONS: Registry[AllocationEntry] = Registry(
    "allocation",
    (
        AllocationEntry(
            name="uniform",
            target=f"{_FOLDER}.uniform:uniform",
            help="the same in each layer",
            by_shapes=True,
        ),
        AllocationEntry(
            name="global",
            target=f"{_FOLDER}.global_threshold:global_threshold",
            help="one threshold over all layers",
            nests=True,
        ),
        AllocationEntry(
            name="erk",
            target=f"{_FOLDER}.erk:erk",
            help="Erdos-Renyi-Kernel: small layers keep more",
            nests=True,
            by_shapes=True,
        ),
        AllocationEntry(
            name="lamp",
            target=f"{_FOLDER}.lamp:lamp",
            help="layer-adaptive magnitudes",
            nests=True,
        ),
    ),
    AllocationEntry,
)


def is_file(value: object) -> bool:
    """Whether a value names a file of densities."""
    return isinstance(value, str) and value.endswith(".json")
