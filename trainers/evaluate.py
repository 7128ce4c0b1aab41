r"""Measures natural accuracy of networks and their accuracy under attacks.

Example:
    python -m trainers.evaluate --source=runs/demo --dataset=digits \
        --epsilon=0.15 --eval_attacks=pgd,cleverhans_mim \
        --output_dir=runs/demo_attacked

A source is the folder of a run, a .keras file or the folder of a SavedModel;
several are separated by commas. With --flagfile=runs/demo/flags.txt the
settings are those of the run. The same command resumes an evaluation that was
stopped.
"""

from __future__ import annotations

from flags import evaluate_flags  # noqa: F401  Defines --sanity.
from flags import phase_flags  # noqa: F401  A run's flags.txt may hold them.
from flags import training_flags
from trainers.terminal import startup
from trainers.training import settings  # noqa: F401  Defines all other flags.


def main() -> None:
    """Evaluates the network."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.evaluation import evaluate_source

    workers = training_flags.workers_from_flags()
    if workers is None:
        evaluate_source.run()
    else:
        workers.on_chief(evaluate_source.run)


if __name__ == "__main__":
    startup.run(main)
