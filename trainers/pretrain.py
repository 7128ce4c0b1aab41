r"""Trains a network that is to be pruned, under a robust objective.

Example:
    python -m trainers.pretrain --model=vgg16_bn --objective=trades \
        --output_dir=runs/dense

Run the same command again to resume a run that was stopped.
"""

from __future__ import annotations

from flags import phase_flags  # noqa: F401  Defines --epochs.
from trainers.terminal import startup
from trainers.training import settings  # noqa: F401  Defines all other flags.


def main() -> None:
    """Runs the phase."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.training import single_phase

    single_phase.run("pretrain")


if __name__ == "__main__":
    startup.run(main)
