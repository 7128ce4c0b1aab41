"""Turning a plain Keras model into its masked copy, and back."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import check_names
from hydra_tf.graph import is_only_graph
from hydra_tf.graph import package_of
from hydra_tf.graph import shows_layers
from hydra_tf.graph import walk
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.layers import Channels
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.masking import hold
from hydra_tf.layers.masking import mask_layer
from hydra_tf.layers.masking import set_masked_class
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.channels.groups import assign_channels
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.channels.groups import pinned_channels
from hydra_tf.pruning.channels.whole_layers import check_channels_can_go
from hydra_tf.pruning.channels.whole_layers import no_parts
from hydra_tf.pruning.channels.whole_layers import warn_of_whole_attention
from hydra_tf.pruning.channels.whole_layers import warn_of_whole_layers
from hydra_tf.pruning.choice import Choice
from hydra_tf.pruning.choice import choose
from hydra_tf.pruning.copying import Pairs
from hydra_tf.pruning.copying import copied
from hydra_tf.pruning.copying import copy_layer_weights
from hydra_tf.pruning.copying import pruned
from hydra_tf.pruning.copying import strip_in_place
from hydra_tf.pruning.exclude import Exclude
from hydra_tf.pruning.exclude import exclusion
from hydra_tf.pruning.exclude import left_dense
from hydra_tf.pruning.exclude import named
from hydra_tf.pruning.exclude import unmaskable
from hydra_tf.pruning.n_of_m import keep_blocks
from hydra_tf.pruning.phases import forget_functions
from hydra_tf.registry.granularities import CHANNEL
from hydra_tf.registry.granularities import HEAD
from hydra_tf.registry.granularities import PARTS
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import check_granularity
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.settings import Switch

_STRICT = Switch(
    name="strict",
    default=False,
    help="Whether what cannot be masked is refused rather than left dense.",
)
_IN_PLACE = Switch(
    name="in_place",
    default=False,
    help="Whether the model itself is masked rather than a copy.",
)


def register_masked_twin(masked_class: type[MaskedLayer]) -> None:
    """Makes `to_masked` turn `masked_class.plain_class` into `masked_class`.

    For a masked class with methods of its own; else
    `hydra_tf.register_maskable` says which weights of a class are masked.

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
    set_masked_class(masked_class)


def to_masked(
    model: keras.Model,
    exclude: Exclude = None,
    *,
    density: float = 1.0,
    granularity: str = WEIGHT,
    strict: bool = False,
    in_place: bool = False,
) -> keras.Model:
    """Returns the masked copy of a model, with its weights and outputs.

    Every layer of Keras with a kernel becomes its masked counterpart of the
    same name, with scores scaled from its weights: dense layers, convolutions,
    embeddings, the cells of recurrent layers, the projections of attention,
    in nested models and in layers of one's own too. Subclasses of them need
    nothing, other layers `hydra_tf.register_maskable`. The given model is left
    as it is.

    Args:
        model: Built model, possibly nested. A subclassed one is made anew from
            its `get_config()`; channels need one that is Functional or
            Sequential, or whose `call` is made of layers and `keras.ops`, from
            one tensor to one.
        exclude: Layers to leave plain: a list of names of layers (or of what
            holds them, for all that is in it; of the model, for weights that
            are in no layer) or of patterns of names (`"block1_*"`), or a
            predicate that gets a layer.
        density: Float in (0, 1] that all masked layers get (not those with
            granularity `"N:M"`, whose density is N / M).
        granularity: What is pruned: `"weight"`, `"channel"` (input channels;
            of an embedding its rows), `"filter"` (output channels), `"head"`
            (heads of attention), `"neuron"` (hidden units between dense
            layers) or `"N:M"`, for instance `"2:4"`. Which channels have to be
            removed together is found from the graph. With N:M, depthwise
            kernels stay plain, and those that read the image if M does not
            divide its channels.
        strict: Whether weights that no masked layer exists for are an error.
            By default they stay plain, with a warning.
        in_place: Whether to mask the layers of the model itself, without a
            copy.

    Of a model with masked channels that was loaded from a file or cloned,
    scores train after `set_phase`, `RobustModel` or `connect_channels` has let
    its layers share them again.

    Returns:
        A model of the same class (a subclass of it, if it is subclassed), not
        compiled. Outputs are equal at density 1.

    Raises:
        InputError: If the model is not built, can't be copied or has nothing
            to prune, a layer does not read its weight where it is masked, or,
            with `strict`, weights would stay plain as nothing is known of them.

    Warns:
        UserWarning: If weights stay plain since no masked layer exists for
            them; if masked layers keep all their channels, or attention all
            its heads, whatever the density.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> [type(layer).__name__ for layer in hydra_tf.to_masked(model).layers]
    ['MaskedDense']
    """
    check_density(density)
    check_granularity(granularity)
    _STRICT.check(strict)
    _IN_PLACE.check(in_place)
    _check_convertible(model)
    if granularity in STRUCTURED:
        _check_shows_channels(model, granularity)
    excluded = named(exclude)
    choice = choose(model, exclusion(model, exclude), excluded)
    if choice.left and (strict or not choice.masked):
        raise unmaskable(choice.left, choice.names, excluded)
    if is_n_of_m(granularity):
        keep_blocks(model, granularity, choice, excluded)
    if not choice.masked and not any(
        isinstance(layer, MaskedLayer) for layer in flatten_layers(model)
    ):
        raise InputError(
            f"model '{model.name}' has nothing to prune: it holds no layer "
            "with a kernel that can be masked (hydra_tf.register_maskable "
            "adds more kinds), or all are excluded"
        )
    settings = _settings(model, choice, density, granularity)
    pairs: Pairs
    masked, pairs = (model, _parts(model)) if in_place else copied(model)
    for old, new in pairs:
        if not in_place:
            copy_layer_weights(old, new)
        for one, other in zip(
            flatten_layers(old), flatten_layers(new), strict=True
        ):
            # Once, also if several layers hold it.
            if id(one) in settings:
                mask_layer(other, settings.pop(id(one)))
        hold(new)
    forget_functions(masked)
    connect_channels(masked)
    if granularity == HEAD:
        warn_of_whole_attention(model, choice.has_kernel)
    elif granularity in STRUCTURED and granularity not in PARTS:
        if density < 1:
            check_channels_can_go(masked)
        warn_of_whole_layers(masked)
    if choice.left:
        warnings.warn(left_dense(choice.left, model), UserWarning, stacklevel=2)
    _explain_set_weights(masked)
    return masked


def _settings(
    model: keras.Model, choice: Choice, density: float, granularity: str
) -> dict[int, dict[str, dict[str, Any]]]:
    """Returns the arguments of the masks by the layer's `id` and the weight."""
    channels: dict[int, Any] = {}
    if granularity in STRUCTURED:
        channels = assign_channels(model, granularity, choice.has_kernel)
        sides = itertools.chain.from_iterable(channels.values())
        if granularity in PARTS and not any(side.prunable for side in sides):
            raise no_parts(model, granularity, choice.has_kernel)

    def arguments(layer: Any, axes: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "density": 1.0 if is_n_of_m(granularity) else density,
            "granularity": granularity,
        }
        if granularity in STRUCTURED:
            inputs, outputs = channels.get(id(layer)) or pinned_channels(axes)
            if isinstance(layer, keras.layers.Embedding):
                inputs = _rows(axes, granularity) or inputs
            given["input_channels"] = inputs.to_config()
            given["output_channels"] = outputs.to_config()
        return given

    return {
        id(layer): {name: arguments(layer, each) for name, each in axes.items()}
        for layer, axes in choice.masked
    }


def strip_masks(model: keras.Model, *, in_place: bool = False) -> keras.Model:
    """Returns a plain Keras model whose pruned weights are exactly 0.0.

    The result holds no class of this library, has no scores, and computes the
    same outputs; a subclassed model is one of its own class again. The given
    model is left as it is.

    Args:
        model: Model with masked layers, as from `to_masked`, or built by hand.
        in_place: Whether to strip the model itself, without a copy.

    Raises:
        InputError: If the model can't be copied, or layers that share their
            channels have come to differ in what they keep.
    """
    _check_convertible(model)
    connect_channels(model)
    if in_place:
        for layer in flatten_layers(model):
            if isinstance(layer, MaskedLayer):
                for view in layer.all_views():
                    view.masked_kernel.variable.assign(pruned(view))
        strip_in_place(model)
        vars(model).pop("set_weights", None)
        forget_functions(model)
        return model
    plain, pairs = copied(model, plain=True)
    for old, new in pairs:
        copy_layer_weights(old, new)
    return plain


def _parts(model: keras.Model) -> Pairs:
    """Returns the parts of a model, each with itself."""
    if not is_only_graph(model):
        return [(model, model)]
    parts: dict[int, Any] = {}
    for layer in flatten_layers(model, include_self=False, recursive=False):
        parts |= {id(part): part for part, _ in _parts(layer)}
    return [(part, part) for part in parts.values()]


def _check_shows_channels(model: keras.Model, granularity: str) -> None:
    if not shows_layers(model):
        try:
            walk(model)
        except InputError as error:
            raise InputError(
                f"`granularity='{granularity}'` needs the graph of a model, "
                f"which shows what channels mean together: {error}"
            ) from error
    for layer in flatten_layers(model):
        if isinstance(layer, MaskedLayer):
            raise InputError(
                f"layer '{layer.name}' is masked already: for granularity "
                f"'{granularity}' pass a plain model (hydra_tf.strip_masks)"
            )


def _check_convertible(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise InputError(
            "`model` must be a Keras model: Functional, Sequential or a "
            f"subclass of keras.Model. Received: {type(model).__name__}"
        )
    # A wrapper of this library, which trains its network.
    network = getattr(model, "network", None)
    if package_of(type(model)) == "hydra_tf" and network is not None:
        raise InputError(
            "`model` must be the network that is pruned. Received: "
            f"{type(model).__name__}: pass its `network`"
        )
    if not model.built:
        raise InputError(
            f"model '{model.name}' is not built: give it an Input, or call it "
            "once"
        )
    check_names(model)


def _rows(axes: Any, granularity: str) -> Any:
    """The rows of an embedding, which nothing else reads or makes."""
    return Channels(axes.num_inputs) if granularity == CHANNEL else None


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
