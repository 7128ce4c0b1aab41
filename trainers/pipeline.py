r"""Takes a network through pretrain, prune and finetune, and exports it.

Example:
    python -m trainers.pipeline --preset=digits_demo --output_dir=runs/demo

Each phase's result is evaluated; the folder then holds checkpoints, a
SavedModel, metrics.json and a model card. Run the same command again to resume
it where it was stopped.
"""

from __future__ import annotations

from trainers.terminal import startup
from trainers.training import settings  # noqa: F401  Defines the flags.


def main() -> None:
    """Runs the pipeline."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.training import pipeline as chain

    chain.run()


if __name__ == "__main__":
    startup.run(main)
