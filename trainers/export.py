r"""Writes a network as a SavedModel for serving, with a model card.

Example:
    python -m trainers.export --source=runs/demo --dataset=digits \
        --output_dir=runs/demo_export

With --shrink, channels or heads that were pruned as a whole are cut out of it.
"""

from __future__ import annotations

from flags import export_flags  # noqa: F401  Read where they are used.
from flags import phase_flags  # noqa: F401  A run's flags.txt may hold them.
from trainers.terminal import startup
from trainers.training import settings  # noqa: F401  Defines all other flags.


def main() -> None:
    """Exports the network."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.exporting import export_source

    export_source.run()


if __name__ == "__main__":
    startup.run(main)
