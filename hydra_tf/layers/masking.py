"""Masking layers where they are, by exchanging their class, and back."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import package_of
from hydra_tf.keras_internals import build_by_call
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_trainable_variables
from hydra_tf.keras_internals import set_autocast
from hydra_tf.keras_internals import set_class
from hydra_tf.layers import conv
from hydra_tf.layers import dense
from hydra_tf.layers import depthwise
from hydra_tf.layers import einsum_dense
from hydra_tf.layers import embedding
from hydra_tf.layers import recurrent
from hydra_tf.layers import transpose
from hydra_tf.layers.mask_settings import MaskSettings
from hydra_tf.layers.maskable import weights_of_class
from hydra_tf.layers.masked_attribute import MaskedAttribute
from hydra_tf.layers.masked_layer import MaskedLayer
from hydra_tf.layers.masked_layer import variable_of

# What a masked layer has beyond the attributes of a plain one.
_STATE = (
    "_autocasts",
    "_masked_names",
    "_masks",
    "_phase",
    "_settings",
    "is_connected",
    "unbuilt",
)

_register = keras.saving.register_keras_serializable(
    package="hydra_tf", name="Masked"
)


class Masked:
    """Mix-in of layers and models that are saved as their plain ones, masked.

    Of someone else's layers whose weights are masked, and of layers and
    subclassed models that hold masked layers: a file has the configuration of
    the plain one and the settings of the masks in it.
    """

    plain_class: type[keras.layers.Layer]

    def get_config(self) -> dict[str, Any]:
        """Returns the plain layer, and the masks of the layers inside it."""
        with plain_face(self):
            layer = keras.saving.serialize_keras_object(self)
        # The model that is saved has it as well.
        layer.pop("compile_config", None)
        config = taken_by_constructor(self.plain_class, layer["config"])
        layer["config"] = config
        return {
            "layer": layer,
            "masks": [
                {
                    "index": index,
                    "name": inner.name,
                    "phase": inner.phase,
                    "weights": {
                        name: weight.settings.to_config()
                        for name, weight in inner.masked_weights.items()
                    },
                }
                for index, inner in enumerate(flatten_layers(self))
                if isinstance(inner, MaskedLayer)
            ],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Returns the layer with its masks."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        _build_inside(layer, config["masks"])
        inner = flatten_layers(layer)
        for entry in config["masks"]:
            found = inner[entry["index"]]
            found.name = entry["name"]
            if not isinstance(found, MaskedLayer):
                mask_layer(found, entry["weights"], entry["phase"])
        hold(layer)
        return layer


_register(Masked)


def taken_by_constructor(
    plain_class: Any, config: dict[str, Any]
) -> dict[str, Any]:
    """Returns a configuration without what a constructor does not take.

    Keras puts `trainable` and `dtype` into that of a class without its own
    `get_config`, whose constructor may take neither.

    Args:
        plain_class: The class, of a layer or model.
        config: Its configuration.
    """
    if package_of(plain_class.get_config) != "keras":
        return config
    parameters = inspect.signature(plain_class.__init__).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return config
    taken = {each.name for each in parameters}
    return {name: value for name, value in config.items() if name in taken}


def _build_inside(layer: Any, masks: list[dict[str, Any]]) -> None:
    """Builds the layers inside a layer that is going to be masked."""

    def is_built() -> bool:
        inner = flatten_layers(layer)
        return all(
            entry["index"] < len(inner) and inner[entry["index"]].built
            for entry in masks
        )

    if is_built():
        return
    shapes = layer.get_build_config()
    if shapes:
        build_by_call(layer, shapes)
    if not is_built():
        raise InputError(
            f"layer '{layer.name}' ({type(layer).__name__}) does not build the "
            "layers inside it from the shape of its input, so that their "
            "masks cannot be loaded: give it a `build` that does"
        )


_classes: dict[type, type] = {
    masked.plain_class: masked
    for masked in (
        conv.MaskedConv1D,
        conv.MaskedConv2D,
        conv.MaskedConv3D,
        dense.MaskedDense,
        depthwise.MaskedDepthwiseConv1D,
        depthwise.MaskedDepthwiseConv2D,
        depthwise.MaskedSeparableConv1D,
        depthwise.MaskedSeparableConv2D,
        einsum_dense.MaskedEinsumDense,
        embedding.MaskedEmbedding,
        embedding.MaskedReversibleEmbedding,
        recurrent.MaskedGRUCell,
        recurrent.MaskedLSTMCell,
        recurrent.MaskedSimpleRNNCell,
        transpose.MaskedConv1DTranspose,
        transpose.MaskedConv2DTranspose,
        transpose.MaskedConv3DTranspose,
    )
}
_holders: dict[type, type] = {}


def set_masked_class(masked_class: type) -> None:
    """Makes a class written by hand the masked one of its `plain_class`."""
    plain_class = masked_class.plain_class  # type: ignore[attr-defined]
    _classes[plain_class] = masked_class


def _masked_class(plain_class: type) -> Any:
    made: Any = _classes.get(plain_class)
    # It may have been registered with other weights since.
    if made is None or not all(
        isinstance(inspect.getattr_static(made, name, None), MaskedAttribute)
        for name in weights_of_class(plain_class)
    ):
        made = _made(plain_class, Masked, MaskedLayer)
        _classes[plain_class] = made
    return made


def _made(plain_class: type, *bases: type) -> type:
    """Returns the masked class of someone else's class."""
    made = types.new_class(
        f"Masked{plain_class.__name__}",
        (*bases, plain_class),
        exec_body=lambda namespace: namespace.update(
            __module__=__name__,
            __doc__=f"`{plain_class.__name__}` with masks.",
            plain_class=plain_class,
        ),
    )
    _register(made)
    # Files have the name of all of them, which stands for this one.
    _register(Masked)
    return made


def mask_layer(
    layer: Any,
    weights: Mapping[str, Mapping[str, Any]],
    phase: str | None = None,
) -> None:
    """Masks weights of a built layer, which becomes one of its masked class.

    Args:
        layer: Plain layer.
        weights: The arguments of the mask by the name of the weight.
        phase: The phase of the masked layer.

    Raises:
        InputError: If a mask does not suit its weight.
    """
    plain_class = type(layer)
    single = len(weights_of_class(plain_class)) == 1
    (first, *_) = weights.values()
    set_class(layer, _masked_class(plain_class))
    # Of the instance, and of its plain class.
    vars(layer)["_plain_quantize"] = vars(layer).pop("quantize", None)
    try:
        layer.begin_masks(
            MaskSettings(**first if single else {}),
            None if single else dict(weights),
            phase,
        )
        with contextlib.ExitStack() as scopes:
            path = variable_of(layer, next(iter(weights))).path
            for scope in path.split("/")[:-1]:
                scopes.enter_context(keras.name_scope(scope))
            layer.make_masks()
    except InputError:
        unmask_layer(layer)
        raise


def unmask_layer(layer: Any) -> None:
    """Makes a masked layer the plain one again, its weights as they are.

    Args:
        layer: Masked layer.
    """
    for name, autocast in vars(layer).get("_autocasts", {}).items():
        set_autocast(variable_of(layer, name), autocast)
    for variable in own_trainable_variables(layer):
        variable.trainable = layer.trainable
    for name in list(vars(layer)):
        if name.startswith("_masked_") and name != "_masked_names":
            delattr(layer, name)
    quantize = vars(layer).pop("_plain_quantize", None)
    for name in list(vars(layer)):
        if name in _STATE or name.startswith("_view_"):
            del vars(layer)[name]
    set_class(layer, layer.plain_class)
    if quantize is not None:
        vars(layer)["quantize"] = quantize


def hold(layer: Any) -> None:
    """Lets a layer or model be saved with the masks of the layers inside it.

    Args:
        layer: Layer, or subclassed model.
    """
    if isinstance(layer, (Masked, MaskedLayer)) or not any(
        isinstance(inner, MaskedLayer) for inner in flatten_layers(layer)
    ):
        return
    plain_class = type(layer)
    if plain_class not in _holders:
        _holders[plain_class] = _made(plain_class, Masked)
    set_class(layer, _holders[plain_class])


def release(layer: Any) -> None:
    """Gives a layer its own class back after `hold`."""
    if isinstance(layer, Masked):
        set_class(layer, layer.plain_class)


@contextlib.contextmanager
def plain_face(layer: Any) -> Iterator[None]:
    """Lets a layer or model be one of its plain class for a moment.

    Args:
        layer: Masked layer or `Masked`; others are as they are.
    """
    cls = type(layer)
    if not isinstance(layer, (Masked, MaskedLayer)):
        yield
        return
    set_class(layer, cls.plain_class)
    try:
        yield
    finally:
        set_class(layer, cls)
