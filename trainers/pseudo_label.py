r"""Labels images with a trained network, for semi-supervised training.

Example:
    python -m trainers.pseudo_label --source=runs/standard \
        --dataset=folder:/data/tiny_images --min_confidence=0.5 \
        --output=extra.npz
    python -m trainers.pipeline --dataset=cifar10 --extra_data=extra.npz ...

The file holds the images that the network is sure enough of, at the size that
it takes, and the classes that it gives them.
"""

from __future__ import annotations

from flags import pseudo_label_flags
from trainers.terminal import startup


def main() -> None:
    """Labels the images."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.labelling import pseudo_labels

    pseudo_labels.run()


if __name__ == "__main__":
    startup.run(main, pseudo_label_flags.FLAGS)
