"""The methods of bounding a network's outputs, from loose to tight.

To add one, write it in a file of `hydra_tf/bounds/` and its row here. A method
is a callable `(propagation, spec, upper)`: see `hydra_tf.bounds.methods`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from hydra_tf.registry.table import Entry
from hydra_tf.registry.table import Registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundEntry(Entry):
    """A row of `BOUNDS`.

    Attributes:
        passes_from: Where backward passes start: `"none"` if there are none,
            `"outputs"` for one pass from the specification, `"neurons"` for
            one from every neuron too, which is slow and takes the memory of
            few images at a time.
    """

    passes_from: Literal["none", "outputs", "neurons"] = "neurons"


BOUNDS: Registry[BoundEntry] = Registry(
    "method of bounds",
    (
        BoundEntry(
            name="ibp",
            target="hydra_tf.bounds.ibp:IBP",
            help="interval bound propagation: fastest and loosest",
            passes_from="none",
        ),
        BoundEntry(
            name="crown_ibp",
            target="hydra_tf.bounds.crown:CROWN_IBP",
            help="one pass of CROWN over interval bounds: fast",
            passes_from="outputs",
        ),
        BoundEntry(
            name="crown",
            target="hydra_tf.bounds.crown:CROWN",
            help="a pass of CROWN for every neuron: tight and slow",
        ),
        BoundEntry(
            name="symbolic",
            target="hydra_tf.bounds.symbolic:SYMBOLIC",
            help="symbolic intervals: a pass for every neuron, a little "
            "faster and looser than crown",
        ),
        BoundEntry(
            name="best",
            target="hydra_tf.bounds.best:BEST",
            help="the tighter of ibp and crown, output by output: slow",
        ),
    ),
    BoundEntry,
)
