"""The console commands of an installed hydra_tf: `hydra-tf-pipeline` and so on.

The binaries' folders `flags` and `trainers` are installed within the package,
so that no one else's `flags` meets them; here they become importable under the
names that they have in a checkout. This module is not part of the package:
`import hydra_tf` imports TensorFlow, which `--help` does not wait for.
"""

import importlib.util
import pathlib
import runpy
import sys


def main() -> None:
    """Runs the binary that the command is named after."""
    package = importlib.util.find_spec("hydra_tf").origin
    root = pathlib.Path(package).parent
    installed = root / "binaries"
    # An editable installation runs the checkout.
    sys.path.insert(0, str(installed if installed.is_dir() else root.parent))
    # --model=module:function may name a module of the working directory, as
    # with `python -m`.
    sys.path.append("")
    name = pathlib.Path(sys.argv[0]).stem.removeprefix("hydra-tf-")
    runpy.run_module(f"trainers.{name}", run_name="__main__")
