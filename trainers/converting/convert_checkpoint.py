"""Writing the network of a checkpoint into a folder.

```
network.keras   the masked network
metrics.json    where it is from, and what each layer keeps
flags.txt       the settings
```
"""

from __future__ import annotations

from typing import Any

from flags import convert_flags
from flags.convert_flags import ConvertSettings
from hydra_tf import pruning
from hydra_tf import torch_checkpoints
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from hydra_tf.training.checkpoints import save_network
from trainers.run import environment
from trainers.run import finished_network
from trainers.run import networks
from trainers.run.folder import RunFolder
from trainers.terminal import startup


def run() -> None:
    """Converts `--checkpoint`, and shows what its masks keep."""
    parsed = convert_flags.convert_from_flags()
    folder = RunFolder(parsed.output_dir)
    folder.check()
    if finished_network.holds_training(folder):
        raise InputError(
            f"--output_dir={parsed.output_dir} holds a training run; name "
            "another folder"
        )
    network = torch_checkpoints.load_torch_checkpoint(
        parsed.checkpoint, parsed.model, **_arguments(parsed)
    )
    folder.open()
    finished_network.write_flags(folder, convert_flags.FLAGS)
    save_network(network, folder.network)
    folder.merge_metrics(
        {
            "run": {
                "name": folder.path.resolve().name,
                "command": environment.command(),
                "binary": startup.name(),
                "source": parsed.checkpoint,
                "model": network.name,
                "density": parsed.arguments["density"],
            },
            "environment": environment.describe(),
            "sparsity": networks.sparsity(network),
            "artifacts": {
                "network": {
                    "path": folder.network.name,
                    "bytes": folder.network.stat().st_size,
                }
            },
        }
    )
    say(f"{pruning.sparsity_report(network)}\n")
    say(f"Network: {folder.network}")


def _arguments(parsed: ConvertSettings) -> dict[str, Any]:
    """Returns the library's arguments, those of --dataset among them."""
    arguments = dict(parsed.arguments)
    if parsed.images is None:
        return arguments
    info = parsed.images.info
    if arguments["num_classes"] not in (None, info.num_classes):
        raise InputError(
            f"--num_classes={arguments['num_classes']} is not that of "
            f"--dataset={info.name}, {info.num_classes}: leave it out"
        )
    arguments["num_classes"] = info.num_classes
    return arguments | {"input_shape": info.image_shape}
