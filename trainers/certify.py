r"""Certifies a network on test images: what no perturbation can turn.

Example:
    python -m trainers.certify --source=runs/demo --dataset=digits \
        --method=crown_ibp --epsilons=0.02,0.05,0.1 \
        --output_dir=runs/demo_certified

The folder then holds certify.tsv with a line for every image, certify.png,
the certified accuracy over the radius, and metrics.json. Run the same command
again to resume it.
"""

from __future__ import annotations

from flags import certify_flags
from trainers.terminal import startup


def main() -> None:
    """Certifies the network."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.certification import certify_source

    certify_source.run()


if __name__ == "__main__":
    startup.run(main, certify_flags.FLAGS)
