"""A network as all formats serve it: without masks, in inference mode."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.keras_internals import flatten_layers


@dataclasses.dataclass(frozen=True)
class ServedNetwork:
    """A network from a batch of images to logits.

    Attributes:
        model: The Keras model, without masks.
        shape: Of one image; open sizes are `None`.
        dtype: Of the images, `"float32"` for any floats.
    """

    model: keras.Model
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def spec(self) -> tf.TensorSpec:
        """The images, of which there may be any number."""
        return tf.TensorSpec((None, *self.shape), self.dtype, "images")

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the logits, float32 whatever the network's precision."""
        return tf.cast(self.model(images, training=False), tf.float32)

    @property
    def weights(self) -> dict[str, tf.Variable]:
        """The network's variables by path, without those of metrics."""
        skipped = {id(variable) for variable in self.model.metrics_variables}
        weights: dict[str, tf.Variable] = {}
        for variable in self.model.variables:
            if id(variable) in skipped:
                continue
            name, count = variable.path, 1
            while name in weights:
                count += 1
                name = f"{variable.path}_{count}"
            weights[name] = variable.value
        return weights


def served_network(
    model: keras.Model, input_shape: tuple[int | None, ...] | None = None
) -> ServedNetwork:
    """Returns a model as it is served.

    Args:
        model: A model with one input and one output, the logits, masked or
            not.
        input_shape: Shape of one example, for a model that does not know its
            own, or to fix sizes that it leaves open.

    Raises:
        InputError: If the model's input or output is not a single tensor, or
            its input shape is unknown.
    """
    check_model(model)
    if pruning.masked_layers(model):
        model = pruning.strip_masks(model)
    shape, dtype = _example_shape(model, input_shape), _input_dtype(model)
    # A symbolic call: it builds a model that has not been called yet.
    outputs = model(keras.KerasTensor((None, *shape), dtype), training=False)
    if not isinstance(outputs, keras.KerasTensor):
        raise InputError(
            "`model` must have a single output, the logits. "
            f"Received: {type(outputs).__name__}"
        )
    return ServedNetwork(model, shape, dtype)


def check_model(model: keras.Model) -> None:
    """Raises `InputError` unless a model is one of Keras."""
    if not isinstance(model, keras.Model):
        raise InputError(f"`model` must be a Keras model. Received: {model!r}")


def check_precision(model: keras.Model, format_name: str) -> None:
    """Raises `InputError` if a layer computes in another type than float32.

    Args:
        model: The model.
        format_name: What cannot hold one, for the message.
    """
    for layer in flatten_layers(model):
        if getattr(layer, "compute_dtype", "float32") != "float32":
            raise InputError(
                f"`model` cannot be written as {format_name}: layer "
                f"{layer.name} computes in {layer.compute_dtype}; give a "
                "float32 model"
            )


def _example_shape(
    model: keras.Model, input_shape: tuple[int | None, ...] | None
) -> tuple[int | None, ...]:
    """Returns the shape of one input, as given or as the model knows it."""
    try:
        known = model.input_shape
    except AttributeError:
        known = None
    if isinstance(known, list | dict) or (
        known
        and not all(each is None or isinstance(each, int) for each in known)
    ):
        raise InputError(
            f"`model` must have a single input. Received inputs: {known}"
        )
    if input_shape is None:
        # A subclassed model knows what it was built with.
        known = known or (model.get_build_config() or {}).get("input_shape")
        if known is None:
            raise InputError(
                "`input_shape` must be given, as (height, width, channels), "
                "for a model that does not know its own"
            )
        return tuple(known[1:])
    if not isinstance(input_shape, tuple | list):
        raise InputError(
            "`input_shape` must be a tuple, such as (height, width, channels). "
            f"Received: {input_shape!r}"
        )
    fits = known is None or (
        len(known) == len(input_shape) + 1
        and all(
            None in pair or pair[0] == pair[1]
            for pair in zip(known[1:], input_shape, strict=True)
        )
    )
    if not fits:
        raise InputError(
            f"`input_shape` must fit the model's {tuple(known[1:])}. "
            f"Received: {tuple(input_shape)}"
        )
    return tuple(input_shape)


def _input_dtype(model: keras.Model) -> str:
    """Returns the type of a model's input; that of any floats is float32."""
    inputs = getattr(model, "inputs", None)
    dtype = inputs[0].dtype if inputs else "float32"
    return "float32" if keras.backend.is_float_dtype(dtype) else dtype
