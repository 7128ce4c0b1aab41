"""The binaries."""

import importlib.util
import sys

if not all(map(importlib.util.find_spec, ("absl", "tensorflow"))):
    sys.exit(
        f"error: {sys.executable} lacks the packages of requirements.txt; "
        "install them with pip, or take the environment that `make demo` "
        "makes: `. .venv/bin/activate`"
    )

# Puts off the import of TensorFlow, see there.
import flags  # noqa: E402, F401
