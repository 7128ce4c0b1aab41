r"""Turns a checkpoint of the PyTorch originals into a masked network.

Example:
    python -m trainers.convert --checkpoint=model_best.pth.tar \
        --model=vgg16_bn --density=0.1 --output_dir=runs/original

The folder then holds network.keras, and is a --source of the other programs.
It needs PyTorch: pip install torch.
"""

from __future__ import annotations

from flags import convert_flags
from trainers.terminal import startup


def main() -> None:
    """Converts the checkpoint."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.converting import convert_checkpoint

    convert_checkpoint.run()


if __name__ == "__main__":
    startup.run(main, convert_flags.FLAGS)
