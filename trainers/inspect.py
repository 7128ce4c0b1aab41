"""Says what a file or folder is: a run, a network, and what is known of it.

Example:
    python -m trainers.inspect --source=runs/digits_demo

It takes the folder of a run, of a SavedModel or of TensorFlow Serving's
versions, and .keras, .tflite and .onnx files. Nothing is written.
"""

from __future__ import annotations

import os
import sys

if __name__ == "inspect":
    # A program that is run by its path, as Bazel does, has this folder on the
    # path, and means the module of the standard library.
    _folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [
        each for each in sys.path if os.path.abspath(each) != _folder
    ]
    del sys.modules["inspect"]
    import inspect  # noqa: F401  The importer finds it in place of this one.
else:
    from flags import inspect_flags
    from trainers.terminal import startup


def main() -> None:
    """Shows what the source is."""
    # TensorFlow takes seconds to import; the flags come first.
    from trainers.inspection import inspect_source

    inspect_source.run()


if __name__ == "__main__":
    startup.run(main, inspect_flags.FLAGS, uses_gpus=False)
