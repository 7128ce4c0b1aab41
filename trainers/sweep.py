r"""Runs the pipeline for every cell of a grid of flags.

Example:
    python -m trainers.sweep --preset=digits_sweep --output_dir=runs/sweep

Each cell is a run of its own, in a process and a folder of its own; cells that
pretrain alike share that network. Run the same command again to resume; one
cell of a cluster's array of jobs is --cell=NUMBER.
"""

from __future__ import annotations

from flags import sweep_flags  # noqa: F401  Defines --grid.
from trainers.sweeping import process  # noqa: F401  Keeps the environment.
from trainers.terminal import startup
from trainers.training import settings  # noqa: F401  Defines all other flags.


def main() -> None:
    """Runs the sweep."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.sweeping import sweep

    sweep.run()


if __name__ == "__main__":
    # The devices are for the processes of the cells.
    startup.run(main, uses_gpus=False)
