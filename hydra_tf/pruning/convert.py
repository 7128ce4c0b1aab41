"""Turning a plain Keras model into its masked copy, and back."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.graph import check_names
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_trainable_variables
from hydra_tf.layers import MaskedConv1D
from hydra_tf.layers import MaskedConv2D
from hydra_tf.layers import MaskedConv2DTranspose
from hydra_tf.layers import MaskedDense
from hydra_tf.layers import MaskedDepthwiseConv2D
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.maskable import axes_of_weights
from hydra_tf.layers.masked_layer import MASK_ARGUMENTS
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.channels.groups import assign_channels
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.channels.groups import pinned_channels
from hydra_tf.pruning.channels.whole_layers import check_channels_can_go
from hydra_tf.pruning.channels.whole_layers import warn_of_whole_layers
from hydra_tf.pruning.exclude import Exclude
from hydra_tf.pruning.exclude import exclusion
from hydra_tf.pruning.exclude import named
from hydra_tf.pruning.exclude import unmaskable
from hydra_tf.pruning.n_of_m import layers_without_blocks
from hydra_tf.pruning.phases import NORMALIZATIONS
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import check_granularity
from hydra_tf.registry.granularities import is_n_of_m

_MASKED_CLASSES: dict[type, Any] = {
    masked.plain_class: masked
    for masked in (
        MaskedConv1D,
        MaskedConv2D,
        MaskedConv2DTranspose,
        MaskedDense,
        MaskedDepthwiseConv2D,
    )
}

# Their weights scale or bend units one by one, whatever the weights' rank.
_NEVER_PRUNED = (*NORMALIZATIONS, keras.layers.PReLU)


def register_masked_twin(masked_class: type[MaskedLayer]) -> None:
    """Makes `to_masked` turn `masked_class.plain_class` into `masked_class`.

    Args:
        masked_class: Subclass of `hydra_tf.layers.MaskedLayer` and of a Keras
            layer, with `plain_class` set to the layer it masks.

    Raises:
        InputError: If it is none.
    """
    if not (
        isinstance(masked_class, type)
        and issubclass(masked_class, MaskedLayer)
        and issubclass(masked_class, keras.layers.Layer)
    ):
        raise InputError(
            "`masked_class` must be a class that derives from "
            "hydra_tf.layers.MaskedLayer and from the layer that it masks. "
            f"Received: {masked_class}"
        )
    plain_class = getattr(masked_class, "plain_class", None)
    if not (
        isinstance(plain_class, type) and issubclass(masked_class, plain_class)
    ):
        raise InputError(
            f"`masked_class` {masked_class.__name__} must name in its "
            "attribute `plain_class` the Keras layer that it masks and derives "
            f"from. Received: plain_class={plain_class}"
        )
    _MASKED_CLASSES[masked_class.plain_class] = masked_class


def to_masked(
    model: keras.Model,
    exclude: Exclude = None,
    *,
    density: float = 1.0,
    granularity: str = WEIGHT,
) -> keras.Model:
    """Returns the masked copy of a model, with its weights and outputs.

    Every Dense, Conv1D, Conv2D, DepthwiseConv2D and Conv2DTranspose layer,
    in nested models and in `TimeDistributed` too, becomes its masked
    counterpart of the same name, with scores scaled from its kernel. The given
    model is left as it is.

    Args:
        model: Built Functional or Sequential model, possibly nested.
        exclude: Layers to leave plain: a list of names of layers (or of
            nested models, for all that is in them) or of patterns of names
            (`"block1_*"`), or a predicate that gets a layer.
        density: Float in (0, 1] that all masked layers get (not those with
            granularity `"N:M"`, whose density is N / M).
        granularity: What is pruned: `"weight"`, `"channel"` (input channels),
            `"filter"` (output channels) or `"N:M"`, for instance `"2:4"`.
            Which channels have to be removed together is found from the graph.
            With N:M, depthwise layers stay plain, and those that read the
            image if M does not divide its channels.

    Of a model with masked channels that was loaded from a file or cloned,
    scores train after `set_phase`, `RobustModel` or `connect_channels` has let
    its layers share them again.

    Returns:
        A model of the same class, not compiled. Outputs are equal at density
        1.

    Raises:
        InputError: If the model is neither Functional nor Sequential, is not
            built, has nothing to prune, or holds layers with a kernel that
            no masked layer exists for.

    Warns:
        UserWarning: If masked layers keep all their channels, whatever the
            density.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> [type(layer).__name__ for layer in hydra_tf.to_masked(model).layers]
    ['MaskedDense']
    """
    check_density(density)
    check_granularity(granularity)
    _check_convertible(model)
    is_excluded = exclusion(model, exclude)
    excluded = named(exclude)
    masked_names: list[str] = []
    unknown: list[tuple[keras.layers.Layer, Any]] = []

    def is_prunable(layer: keras.layers.Layer) -> bool:
        return type(layer) in _MASKED_CLASSES and not is_excluded(layer)

    channels: dict[int, Any] = {}
    if granularity in STRUCTURED:
        _check_not_masked(model, granularity)
        channels = assign_channels(model, granularity, is_prunable)
    kept_plain = (
        layers_without_blocks(model, granularity, is_prunable, excluded)
        if is_n_of_m(granularity)
        else set()
    )

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        if (
            isinstance(layer, MaskedLayer)
            or id(layer) in kept_plain
            or is_excluded(layer)
        ):
            return _clone_layer(layer)
        masked_class = _MASKED_CLASSES.get(type(layer))
        if masked_class is None:
            variable = _weight_to_mask(layer)
            if variable is not None:
                unknown.append((layer, variable))
            return _clone_layer(layer)
        if getattr(layer, "quantization_mode", None) or getattr(
            layer, "lora_enabled", False
        ):
            raise InputError(
                f"layer '{layer.name}' is quantised or has LoRA weights and "
                "can't be masked: convert the plain model, or leave the "
                f"layer out with `exclude={[*excluded, layer.name]}`"
            )
        masked_names.append(layer.name)
        config = _config(layer)
        for key in ("lora_rank", "lora_alpha", "quantization_config"):
            config.pop(key, None)
        config["density"] = 1.0 if is_n_of_m(granularity) else density
        config["granularity"] = granularity
        if granularity in STRUCTURED:
            config["input_channels"], config["output_channels"] = (
                each.to_config()
                for each in channels.get(id(layer))
                or pinned_channels(axes_of_weights(layer)["kernel"])
            )
        return rebuilt(layer, config, masked_class)

    masked, pairs = _clone(model, convert)
    if unknown:
        raise unmaskable(unknown, masked_names, excluded)
    if not masked_names and not any(
        isinstance(layer, MaskedLayer) for layer in flatten_layers(model)
    ):
        raise InputError(
            f"model '{model.name}' has nothing to prune: it holds no layer "
            "that can be masked (Dense, Conv1D, Conv2D, DepthwiseConv2D, "
            "Conv2DTranspose), or all are excluded"
        )
    for old, new in pairs:
        copy_layer_weights(old, new)
    connect_channels(masked)
    if granularity in STRUCTURED:
        if density < 1:
            check_channels_can_go(masked)
        warn_of_whole_layers(masked)
    _explain_set_weights(masked)
    return masked


def strip_masks(model: keras.Model) -> keras.Model:
    """Returns a plain Keras model whose pruned weights are exactly 0.0.

    The result holds no class of this library, has no scores, and computes the
    same outputs. The given model is left as it is.

    Args:
        model: Model with masked layers, as from `to_masked`, or built by hand
            with the functional or sequential API.

    Raises:
        InputError: If the model is neither Functional nor Sequential, a custom
            layer holds masked layers, or layers that share their channels have
            come to differ in what they keep.
    """
    _check_convertible(model)
    connect_channels(model)
    plain, pairs = plain_clone(model)
    for old, new in pairs:
        copy_layer_weights(old, new)
    return plain


def plain_clone(
    model: keras.Model,
) -> tuple[keras.Model, list[tuple[Any, Any]]]:
    """Returns a plain model like a masked one, its weights not set.

    With it pairs of its leaf layers, masked and plain.

    Args:
        model: As for `strip_masks`.
    """
    _check_convertible(model)

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, MaskedLayer):
            _check_holds_no_mask(layer)
            return _clone_layer(layer)
        return rebuilt(layer, plain_config(layer), layer.plain_class)

    return _clone(model, convert)


def plain_config(layer: MaskedLayer) -> dict[str, Any]:
    """Returns the configuration of the layer that a masked one masks."""
    config = _config(layer)
    for key in MASK_ARGUMENTS:
        config.pop(key)
    return config


def _check_not_masked(model: keras.Model, granularity: str) -> None:
    for layer in flatten_layers(model):
        if isinstance(layer, MaskedLayer):
            raise InputError(
                f"layer '{layer.name}' is masked already: for granularity "
                f"'{granularity}' pass a plain model (hydra_tf.strip_masks)"
            )


def _clone(
    model: keras.Model, convert: Callable
) -> tuple[keras.Model, list[tuple[Any, Any]]]:
    """Returns a converted model, and pairs of its leaf layers, old and new."""
    clones: dict[int, Any] = {}
    pairs = []

    # Nested models are cloned by this function too, not by Keras's
    # `recursive`, which loses what surrounds a Sequential. A layer used in
    # several of them stays one layer.
    def convert_any(layer: Any) -> Any:
        if id(layer) not in clones:
            if _is_graph(layer):
                clone = clone_graph(layer)
            elif type(layer) is keras.layers.TimeDistributed:
                # A wrapper whose only state is the layer inside.
                config = layer.get_config()
                del config["layer"]
                clone = type(layer)(convert_any(layer.layer), **config)
            elif isinstance(layer, keras.layers.Layer):
                clone = convert(layer)
                pairs.append((layer, clone))
            else:  # an operation of keras.ops
                clone = _clone_layer(layer)
            clones[id(layer)] = clone
        return clones[id(layer)]

    def clone_graph(graph: keras.Model) -> keras.Model:
        # Keras would compile the clone, and fail where the loss is a lambda.
        compiled, graph.compiled = graph.compiled, False
        try:
            clone = keras.models.clone_model(graph, clone_function=convert_any)
        finally:
            graph.compiled = compiled
        clone.trainable = graph.trainable
        return clone

    return clone_graph(model), pairs


def _clone_layer(layer: Any) -> Any:
    return rebuilt(layer, _config(layer))


def rebuilt(
    operation: Any,
    config: dict[str, Any],
    kind: Any = None,
    name: str | None = None,
) -> Any:
    """Returns another layer or operation in the place of a given one.

    Args:
        operation: The given one.
        config: The configuration to make it from.
        kind: Its class, by default that of the given one.
        name: What to call the given one in an error, by default its name.

    Raises:
        InputError: If the class does not make one of the configuration.
    """
    try:
        return (kind or type(operation)).from_config(config)
    # Anything: lambdas, and layers of others that do not take their arguments.
    except Exception as error:
        cause: BaseException = error
        # Keras puts the whole configuration around what is wrong with it.
        while cause.__context__ is not None:
            cause = cause.__context__
        raise InputError(
            f"layer '{name or operation.name}' ({type(operation).__name__}) "
            "can't be rebuilt from its configuration: "
            f"{str(cause).strip().splitlines()[0]}"
        ) from error


def _is_graph(layer: Any) -> bool:
    return isinstance(layer, (keras.Sequential, keras.Model)) and (
        isinstance(layer, keras.Sequential)
        or hasattr(layer, "operations")  # Functional
    )


def _check_convertible(model: Any) -> None:
    if not isinstance(model, keras.Model) or not _is_graph(model):
        raise InputError(
            "only Functional and Sequential Keras models can be converted. "
            f"Received: {type(model).__name__}{_way_in(model)}"
        )
    if not model.built:
        raise InputError(
            f"model '{model.name}' is not built: give it an Input, or call it "
            "once"
        )
    check_names(model)
    for layer in flatten_layers(model, include_self=False):
        if isinstance(layer, keras.Model) and not _is_graph(layer):
            raise InputError(
                f"layer '{layer.name}' is a subclassed model "
                f"({type(layer).__name__}): only Functional and Sequential "
                f"models can be converted{_way_in(layer)}"
            )


def _way_in(model: Any) -> str:
    """What to do with a model that does not show its layers."""
    network = getattr(model, "network", None)
    if _is_graph(network):
        return ": pass its `network`"
    if not isinstance(model, keras.Model):
        return ""
    return (
        "; if its `call` is made of layers and keras.ops, "
        "keras.Model(inputs, model.call(inputs)) with inputs = "
        "keras.Input(shape) shows them, else use the layers of "
        "hydra_tf.layers in it by hand"
    )


def _check_holds_no_mask(layer: keras.layers.Layer) -> None:
    for inner in flatten_layers(layer, include_self=False):
        if isinstance(inner, MaskedLayer):
            raise InputError(
                f"layer '{layer.name}' ({type(layer).__name__}) holds the "
                f"masked layer '{inner.name}', which can't be stripped there: "
                "only masked layers of Functional and Sequential models can"
            )


def _weight_to_mask(layer: keras.layers.Layer) -> keras.Variable | None:
    """Returns a weight that would have to be masked, if a layer has one."""
    for inner in flatten_layers(layer):
        if isinstance(inner, (*_NEVER_PRUNED, MaskedLayer)):
            continue
        # Also where `trainable` is off, as for the layers that can be masked.
        for variable in own_trainable_variables(inner):
            if len(variable.shape) >= 2:
                return variable
    return None


def _config(layer: Any) -> dict[str, Any]:
    """Returns a layer's configuration, also if it has no activation."""
    # Keras makes layers with `linear`, and cannot serialise a later `None`.
    if getattr(layer, "activation", layer) is not None:
        return layer.get_config()
    layer.activation = keras.activations.linear
    try:
        return layer.get_config()
    finally:
        layer.activation = None


def _explain_set_weights(masked: keras.Model) -> None:
    """Lets `set_weights` say how to set the weights of the plain model.

    Keras' own counts them only. (A masked layer does it itself.)
    """
    set_weights = masked.set_weights

    def explained(weights: Sequence[Any]) -> None:
        if len(weights) != len(masked.weights):
            raise InputError(
                f"`weights` are {len(weights)} arrays, the masked model "
                f"'{masked.name}' has {len(masked.weights)}: those of its "
                "plain model are for hydra_tf.set_plain_weights(model, weights)"
            )
        set_weights(weights)

    masked.set_weights = explained  # type: ignore[method-assign]


def copy_layer_weights(old: Any, new: Any) -> None:
    """Copies the weights of a layer to its masked or plain counterpart.

    Args:
        old: The layer to read.
        new: The other one. If it alone is masked, its scores follow from its
            weights; if it alone is plain, pruned weights are 0.
    """
    old_masked = isinstance(old, MaskedLayer)
    new_masked = isinstance(new, MaskedLayer)
    if old_masked and new_masked:
        # By name: their order depends on what was done to the layers.
        stored: dict[str, Any] = {}
        old.save_own_variables(stored)
        new.load_own_variables(
            {
                name: keras.ops.convert_to_numpy(variable)
                for name, variable in stored.items()
            }
        )
        return
    if not old_masked and not new_masked:
        for target, source in zip(new.variables, old.variables, strict=True):
            target.assign(source)
        return
    kernel = keras.ops.convert_to_numpy(old.kernel)
    if old_masked:
        mask = keras.ops.convert_to_numpy(old.mask)
        # Not a product: that leaves negative zeros.
        kernel = np.where(mask > 0, kernel, np.zeros_like(kernel))
    new.kernel.assign(kernel)
    if getattr(old, "bias", None) is not None:
        new.bias.assign(old.bias)
    if new_masked:
        new.reset_scores()
