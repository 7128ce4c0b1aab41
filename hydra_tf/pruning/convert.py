"""Turning a plain Keras model into its masked copy, and back."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_trainable_variables
from hydra_tf.layers import MaskedConv1D
from hydra_tf.layers import MaskedConv2D
from hydra_tf.layers import MaskedConv2DTranspose
from hydra_tf.layers import MaskedDense
from hydra_tf.layers import MaskedDepthwiseConv2D
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.masked_layer import MASK_ARGUMENTS
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.channels.groups import assign_channels
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.channels.groups import pinned_channels
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

Exclude = Callable[[keras.layers.Layer], bool] | Iterable[str] | None


def register_masked_twin(masked_class: type[MaskedLayer]) -> None:
    """Makes `to_masked` turn `masked_class.plain_class` into `masked_class`.

    Args:
        masked_class: Subclass of `hydra_tf.layers.MaskedLayer` and of a Keras
            layer, with `plain_class` set to the layer it masks.
    """
    if not issubclass(masked_class, MaskedLayer):
        raise TypeError(
            "`masked_class` must derive from hydra_tf.layers.MaskedLayer. "
            f"Received: {masked_class}"
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
            nested models, for all that is in them), or a predicate that gets
            a layer.
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
            built, has nothing to prune, or holds a layer with a kernel that
            no masked layer exists for.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> [type(layer).__name__ for layer in hydra_tf.to_masked(model).layers]
    ['MaskedDense']
    """
    check_density(density)
    check_granularity(granularity)
    _check_convertible(model)
    excluded = _excluded_names(exclude)
    is_excluded = exclude if callable(exclude) else _named(model, excluded)
    num_masked = 0

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
        nonlocal num_masked
        if (
            isinstance(layer, MaskedLayer)
            or id(layer) in kept_plain
            or is_excluded(layer)
        ):
            return _clone_layer(layer)
        masked_class = _MASKED_CLASSES.get(type(layer))
        if masked_class is None:
            _check_has_no_kernel(layer, excluded)
            return _clone_layer(layer)
        if getattr(layer, "quantization_mode", None) or getattr(
            layer, "lora_enabled", False
        ):
            raise InputError(
                f"layer '{layer.name}' is quantised or has LoRA weights and "
                "can't be masked: convert the plain model, or leave the "
                f"layer out with `exclude={[*excluded, layer.name]}`"
            )
        num_masked += 1
        config = layer.get_config()
        for key in ("lora_rank", "lora_alpha", "quantization_config"):
            config.pop(key, None)
        config["density"] = 1.0 if is_n_of_m(granularity) else density
        config["granularity"] = granularity
        if granularity in STRUCTURED:
            config["input_channels"], config["output_channels"] = (
                each.to_config()
                for each in channels.get(id(layer))
                or pinned_channels(masked_class.kernel_axes(layer.kernel.shape))
            )
        return rebuilt(layer, config, masked_class)

    masked, pairs = _clone(model, convert)
    if not num_masked and not any(
        isinstance(layer, MaskedLayer) for layer in flatten_layers(model)
    ):
        raise InputError(
            f"model '{model.name}' has nothing to prune: it holds no layer "
            "that can be masked (Dense, Conv1D, Conv2D, DepthwiseConv2D, "
            "Conv2DTranspose), or all are excluded"
        )
    for old, new in pairs:
        _copy_weights(old, new)
    connect_channels(masked)
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

    def convert(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, MaskedLayer):
            _check_holds_no_mask(layer)
            return _clone_layer(layer)
        config = layer.get_config()
        for key in MASK_ARGUMENTS:
            config.pop(key)
        return rebuilt(layer, config, layer.plain_class)

    plain, pairs = _clone(model, convert)
    for old, new in pairs:
        _copy_weights(old, new)
    return plain


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
    return rebuilt(layer, layer.get_config())


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
            f"Received: {type(model).__name__}; in a subclassed model, use "
            "the layers of hydra_tf.layers by hand"
        )
    if not model.built:
        raise InputError(
            f"model '{model.name}' is not built: give it an Input, or call it "
            "once"
        )
    for layer in flatten_layers(model, include_self=False):
        if isinstance(layer, keras.Model) and not _is_graph(layer):
            raise InputError(
                f"layer '{layer.name}' is a subclassed model "
                f"({type(layer).__name__}): only Functional and Sequential "
                "models can be converted"
            )


def _excluded_names(exclude: Exclude) -> list[str]:
    if exclude is None or callable(exclude):
        return []
    return [exclude] if isinstance(exclude, str) else list(exclude)


def _named(
    model: keras.Model, names: Sequence[str]
) -> Callable[[keras.layers.Layer], bool]:
    known = {layer.name for layer in flatten_layers(model)}
    for name in names:
        if name not in known:
            raise InputError(
                f"`exclude` names '{name}', which is no layer of the model. "
                f"{close_matches(name, known)}"
            )
    # With all that lies in nested models of these names.
    excluded = {
        id(inner)
        for layer in flatten_layers(model, include_self=False)
        if layer.name in names
        for inner in flatten_layers(layer)
    }
    return lambda layer: id(layer) in excluded


def _check_holds_no_mask(layer: keras.layers.Layer) -> None:
    for inner in flatten_layers(layer, include_self=False):
        if isinstance(inner, MaskedLayer):
            raise InputError(
                f"layer '{layer.name}' ({type(layer).__name__}) holds the "
                f"masked layer '{inner.name}', which can't be stripped there: "
                "only masked layers of Functional and Sequential models can"
            )


def _check_has_no_kernel(
    layer: keras.layers.Layer, excluded: Sequence[str]
) -> None:
    for inner in flatten_layers(layer):
        if isinstance(inner, (*_NEVER_PRUNED, MaskedLayer)):
            continue
        # Also where `trainable` is off, as for the layers that can be masked.
        for variable in own_trainable_variables(inner):
            if len(variable.shape) >= 2:
                raise InputError(
                    f"layer '{layer.name}' ({type(layer).__name__}) can't be "
                    "masked: no masked layer exists for its weight "
                    f"'{variable.name}' of shape {tuple(variable.shape)}; to "
                    "leave the layer as it is, pass "
                    f"`exclude={[*excluded, layer.name]}`"
                )


def _copy_weights(old: Any, new: Any) -> None:
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
