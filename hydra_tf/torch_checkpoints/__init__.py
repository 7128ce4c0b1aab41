"""Networks from checkpoints of the PyTorch originals of HYDRA and HARP."""

from hydra_tf.torch_checkpoints.network import load_torch_checkpoint
from hydra_tf.torch_checkpoints.reading import TorchCheckpoint
from hydra_tf.torch_checkpoints.reading import read_torch_checkpoint

__all__ = [
    "TorchCheckpoint",
    "load_torch_checkpoint",
    "read_torch_checkpoint",
]
