"""The figures of a report, in the order of the page.

What runs lack leaves no empty figure but a remark.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

from trainers.reporting import compared
from trainers.reporting import over_radius
from trainers.reporting import single
from trainers.reporting.networks import Setup
from trainers.reporting.runs import Run
from trainers.reporting.section import Section


def sections(
    setups: Sequence[Setup],
    runs: Sequence[Run],
    *,
    images: int,
    data_dir: str | None,
    say: Callable[[str], None],
) -> list[Section]:
    """Returns the sections of figures, in the order of the page.

    Args:
        setups: What can be compared.
        runs: All runs.
        images: Number of images of a panel, 0 for none.
        data_dir: Where prepared data sets are, if not where the runs had them.
        say: Told what takes long.
    """
    found = [
        compared.methods_section(setups),
        over_radius.security_section(setups),
        over_radius.certified_section(setups, runs),
        compared.layers_section(setups),
        single.weights_section(setups, say),
        single.training_section(runs),
    ]
    if images:
        found.append(single.images_section(setups, images, data_dir, say))
    return found
