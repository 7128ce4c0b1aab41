"""A masked network from a checkpoint of an original."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf import models
from hydra_tf.errors import InputError
from hydra_tf.pruning.convert import to_masked
from hydra_tf.pruning.phases import set_phase
from hydra_tf.registry import torch_checkpoints as settings
from hydra_tf.registry.models import MODELS
from hydra_tf.torch_checkpoints import kernels
from hydra_tf.torch_checkpoints import masks
from hydra_tf.torch_checkpoints.layouts import check_known
from hydra_tf.torch_checkpoints.layouts import module_names
from hydra_tf.torch_checkpoints.reading import TorchCheckpoint
from hydra_tf.torch_checkpoints.reading import named
from hydra_tf.torch_checkpoints.reading import read_torch_checkpoint
from hydra_tf.torch_checkpoints.state_dict import RATE
from hydra_tf.torch_checkpoints.state_dict import SCORES
from hydra_tf.torch_checkpoints.state_dict import StateDict

# HARP's --alpha: a layer's least density is that times the target.
_ALPHA = 0.1


def load_torch_checkpoint(
    checkpoint: str | os.PathLike | Mapping[str, np.ndarray],
    model: str | None = None,
    *,
    density: float | None = None,
    min_density: float | None = None,
    input_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> keras.Model:
    """Returns the masked network of a checkpoint of HYDRA or HARP.

    The network computes what the original does: kernels, biases, batch norm
    and masks are its. What was pruned keeps its weight under the mask, as in
    any masked network, and `hydra_tf.strip_masks` makes it 0. Masks of HARP's
    channels become masks of all the weights that read them.

    The file is read by PyTorch, `pip install torch`, and nothing in it is run
    (`weights_only=True`).

    Args:
        checkpoint: A `.pth.tar` file of `torch.save`; or its state dict as
            NumPy arrays by the names of PyTorch, which needs no PyTorch.
        model: Name of the network in `hydra_tf.models`; by default what the
            file calls it.
        density: Float in (0, 1], the original run's `--k`. Required where
            there are scores (`popup_scores`), 1 for a pretrained network.
            Without scores the mask keeps the weights that are not 0.
        min_density: Float in [0, 1), least density that the layers of HARP
            could learn; by default a tenth of the density.
        input_shape: Height, width and channels of the images; by default those
            of the network.
        num_classes: Number of classes; by default that of the checkpoint.
        mean: What the original subtracted from each channel of its images in
            [0, 1], if it normalised them; it becomes a layer. Where the
            checkpoint holds mean and deviation they are taken from there.
        std: What it divided them by.

    Returns:
        A masked model from images in [0, 1] to logits, in the finetune phase,
        or in the pretrain phase where nothing is pruned.

    Raises:
        InputError: If PyTorch is missing, the file cannot be read, it is not of
            such a network, or an argument does not fit it.

    Example:

    ```python
    network = hydra_tf.load_torch_checkpoint(
        "model_best.pth.tar", "vgg16_bn", density=0.1
    )
    print(hydra_tf.sparsity_report(network))
    ```
    """
    for setting, value in (
        (settings.DENSITY, density),
        (settings.MIN_DENSITY, min_density),
        (settings.NUM_CLASSES, num_classes),
    ):
        setting.check(value)
    if model is not None:
        check_known(model)
    if isinstance(checkpoint, Mapping):
        where, read = "`checkpoint`", TorchCheckpoint(checkpoint)
    else:
        where, read = named(checkpoint), read_torch_checkpoint(checkpoint)
    if model is None:
        model = _model_of(read, where)
    arrays = StateDict(read.arrays, where)
    _check_density(arrays, density, min_density)
    plain = _plain_network(arrays, model, input_shape, num_classes)
    normalization = _normalization(arrays, plain, mean, std)
    values = _values(plain, model, arrays, _Masking(read, density, min_density))
    if normalization is not None:
        plain = _normalized(plain, *normalization)
    network = to_masked(plain)
    for layer in network.layers:
        for name, value in values.get(layer.name, {}).items():
            # The density is set by a property, whatever the layer's dtype.
            if name == "density":
                layer.density = value
            else:
                getattr(layer, name).assign(value)
    dense = all(each.get("density", 1) == 1 for each in values.values())
    set_phase(network, "pretrain" if dense else "finetune")
    return network


def _model_of(read: TorchCheckpoint, where: str) -> str:
    """Returns what a checkpoint calls its network."""
    if read.arch is None or read.arch not in MODELS:
        says = f"says {read.arch!r}" if read.arch else "does not say it"
        raise InputError(
            f"`model` is required, the name of a network: {where} {says}"
        )
    check_known(read.arch)
    return read.arch


def _plain_network(
    arrays: StateDict,
    model: str,
    input_shape: Sequence[int] | None,
    num_classes: int | None,
) -> keras.Model:
    classes = arrays.num_classes()
    if num_classes not in (None, classes):
        raise InputError(
            f"`num_classes` is {num_classes}, but {arrays.where} is of a "
            f"network of {classes} classes"
        )
    if input_shape is None:
        return MODELS.load(model)(num_classes=classes)
    return models.create(model, input_shape, classes)


def _check_density(
    arrays: StateDict, density: float | None, min_density: float | None
) -> None:
    if arrays.has_scores and density is None:
        raise InputError(
            f"`density` is required: {arrays.where} holds scores but not the "
            "fraction of them that stays; give the --k of its run, 1 for a "
            "pretrained network"
        )
    if density is not None and not arrays.has_scores:
        raise InputError(
            f"`density` is {density:g}, but {arrays.where} holds no scores "
            f"(*.{SCORES}) to choose by: leave it out, and the mask keeps the "
            "weights that are not 0"
        )
    if min_density is not None and not arrays.has_rates:
        raise InputError(
            f"`min_density` is for densities that HARP learned; {arrays.where} "
            f"holds none (*.{RATE}): leave it out"
        )


def _normalization(
    arrays: StateDict,
    plain: keras.Model,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns mean and deviation of each channel, if images are normalised."""
    if mean is None and std is None:
        pair = arrays.normalization
    elif mean is None or std is None:
        raise InputError("`mean` and `std` go together: give both or neither")
    elif arrays.normalization is not None:
        raise InputError(
            f"`mean` and `std` are in {arrays.where} already: leave them out"
        )
    else:
        # Not `check`, which sorts.
        for setting, value in ((settings.MEAN, mean), (settings.STD, std)):
            if not setting.accepts(value):
                raise setting.error(value)
        pair = (np.asarray(mean, np.float64), np.asarray(std, np.float64))
    if pair is None:
        return None
    channels = plain.input_shape[-1]
    if {len(each) for each in pair} != {channels}:
        raise InputError(
            f"`mean` and `std` must have {channels} numbers, one for each "
            f"channel of the images. Received: {len(pair[0])} and "
            f"{len(pair[1])}"
        )
    return pair


def _normalized(
    plain: keras.Model, mean: np.ndarray, std: np.ndarray
) -> keras.Model:
    """Returns the network behind a layer that normalises its images."""
    normalize = keras.layers.Normalization(
        mean=mean.tolist(),
        variance=np.square(std, dtype=np.float64).tolist(),
        name="normalize",
    )
    # No padding may come before it.
    first = plain.layers[1]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer is first:
            args = (normalize(args[0]), *args[1:])
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        plain, clone_function=lambda layer: layer, call_function=call
    )


@dataclasses.dataclass(frozen=True)
class _Masking:
    """How the masks of a checkpoint follow from its scores."""

    checkpoint: TorchCheckpoint
    density: float | None
    min_density: float | None

    def of(
        self, arrays: StateDict, module: str, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns scores and mask of a module, both of its weight's shape."""
        scores = arrays.find(f"{module}.{SCORES}")
        rate = arrays.find(f"{module}.{RATE}")
        if scores is None or self.density is None:
            return weight, weight != 0
        reads_channels = (1, weight.shape[1], *(1,) * (weight.ndim - 2))
        if scores.shape not in (weight.shape, reads_channels):
            raise InputError(
                f"{arrays.where} is another architecture: "
                f"'{module}.{SCORES}' has shape {scores.shape} instead of "
                f"{weight.shape}"
            )
        density: float | np.float32 = self.density
        # A network is pretrained whole, whatever its rates are.
        if rate is not None and density < 1:
            least = self.min_density
            if least is None:
                least = _ALPHA * density
            density = masks.learned_density(rate, least)
        mask = masks.mask_of_scores(
            scores, density, weight.shape, self.checkpoint.order
        )
        return np.broadcast_to(scores, weight.shape), mask


def _values(
    plain: keras.Model, model: str, arrays: StateDict, masking: _Masking
) -> dict[str, dict[str, Any]]:
    """Returns what each layer's variables become, by name.

    Raises:
        InputError: If the arrays are not those of such a network.
    """
    modules = module_names(model, plain)
    values = {}
    flattened = None
    for layer in plain.layers:
        if isinstance(layer, keras.layers.Flatten):
            flattened = tuple(layer.input.shape[1:])
        elif isinstance(layer, keras.layers.BatchNormalization):
            values[layer.name] = _batch_norm(layer, arrays, modules[layer.name])
        elif layer.weights:
            is_dense = isinstance(layer, keras.layers.Dense)
            values[layer.name] = _kernel(
                layer,
                arrays,
                modules[layer.name],
                masking,
                flattened if is_dense else None,
            )
            if is_dense:
                # Only the first one reads the map.
                flattened = None
    arrays.check_all_taken()
    return values


def _kernel(
    layer: keras.layers.Layer,
    arrays: StateDict,
    module: str,
    masking: _Masking,
    flattened: tuple[int, ...] | None,
) -> dict[str, Any]:
    shape = kernels.torch_shape(tuple(layer.kernel.shape))
    weight = arrays.take(f"{module}.weight", shape)
    values = {}
    if layer.bias is not None:
        values["bias"] = arrays.take(f"{module}.bias", tuple(layer.bias.shape))
    scores, mask = masking.of(arrays, module, weight)
    if not mask.any():
        # One weight stays in every mask.
        weight = np.zeros_like(weight)
    scores = masks.scores_with_mask(scores, mask)
    return values | {
        "kernel": kernels.to_keras(weight, flattened),
        "density": masks.density_of_count(
            int(np.count_nonzero(mask)), mask.size, masking.density
        ),
        "scores": kernels.to_keras(scores, flattened),
    }


def _batch_norm(
    layer: keras.layers.Layer, arrays: StateDict, module: str
) -> dict[str, Any]:
    shape = tuple(layer.gamma.shape)
    return {
        variable: arrays.take(f"{module}.{name}", shape)
        for variable, name in (
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        )
    }
