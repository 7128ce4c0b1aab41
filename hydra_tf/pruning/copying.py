"""Copies of models, masked or plain, and of their layers' weights."""

from __future__ import annotations

import contextlib
import inspect
import tempfile
import warnings
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.graph import is_only_graph
from hydra_tf.graph import shows_layers
from hydra_tf.keras_internals import build_by_call
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import generator_states
from hydra_tf.keras_internals import own_variables
from hydra_tf.keras_internals import share_functions
from hydra_tf.keras_internals import trusting_functions
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.masking import plain_face
from hydra_tf.layers.masking import release
from hydra_tf.layers.masking import taken_by_constructor
from hydra_tf.layers.masking import unmask_layer

# The layers of a model that show nothing of what is inside them, each with
# its copy; of a subclassed model, the model.
Pairs = list[tuple[Any, Any]]

# What a model that cannot be copied is left with, in errors.
_WITHOUT_A_COPY = (
    "do without a copy: hydra_tf.to_masked and hydra_tf.strip_masks take "
    "`in_place=True`"
)


def copied(
    model: keras.Model, *, plain: bool = False
) -> tuple[keras.Model, Pairs]:
    """Returns a copy of a model, its weights not set, and pairs of its parts.

    Args:
        model: Built model: Functional, Sequential or subclassed.
        plain: Whether what is masked is plain in the copy.

    Raises:
        InputError: If a part cannot be made from its configuration.
    """
    copy, pairs = _copied(model, plain)
    for old, new in pairs:
        if plain:
            strip_in_place(new)
        _check_alike(old, new)
        # Names that Keras gave the layers inside.
        for one, other in zip(
            flatten_layers(old), flatten_layers(new), strict=True
        ):
            other.name = one.name
    return copy, pairs


def _copied(model: keras.Model, plain: bool) -> tuple[keras.Model, Pairs]:
    if is_only_graph(model):
        return _cloned(model, plain)
    try:
        copy = _made_again(model, plain)
    except InputError:
        if not shows_layers(model):
            raise
        return _cloned(model, plain)
    return copy, [(model, copy)]


def _check_alike(old: Any, new: Any) -> None:
    shapes = [
        [_shapes(layer) for layer in flatten_layers(each)]
        for each in (old, new)
    ]
    if shapes[0] != shapes[1]:
        raise _not_copied(old, "the copy has other weights than the original")


def strip_in_place(layer: Any) -> None:
    """Makes all masked layers inside a layer, and itself, plain ones."""
    release(layer)
    for inner in flatten_layers(layer):
        release(inner)
        if isinstance(inner, MaskedLayer):
            unmask_layer(inner)


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in own_variables(layer)]


def _cloned(model: keras.Model, plain: bool) -> tuple[keras.Model, Pairs]:
    """Returns a Functional or Sequential model, its graph made anew."""
    clones: dict[int, Any] = {}
    pairs: Pairs = []

    # Nested models are cloned by this function too, not by Keras's
    # `recursive`, which loses what surrounds a Sequential. A layer used in
    # several of them stays one layer.
    def clone_any(layer: Any) -> Any:
        if id(layer) not in clones:
            if is_only_graph(layer):
                clone = clone_graph(layer)
            elif isinstance(layer, keras.Model):
                clone, inner = _copied(layer, plain)
                pairs.extend(inner)
            else:
                clone = _clone_layer(layer, plain)
                if isinstance(layer, keras.layers.Layer):
                    pairs.append((layer, clone))
            clones[id(layer)] = clone
        return clones[id(layer)]

    def clone_graph(graph: keras.Model) -> keras.Model:
        # Keras would compile the clone, and fail where the loss is a lambda.
        compiled, graph.compiled = graph.compiled, False
        try:
            clone = keras.models.clone_model(graph, clone_function=clone_any)
        finally:
            graph.compiled = compiled
        clone.trainable = graph.trainable
        return clone

    copy = clone_graph(model)
    _check_shared(pairs)
    return copy, pairs


def _check_shared(pairs: Pairs) -> None:
    """Refuses a layer that several others hold: each copy has its own."""
    holders: dict[int, Any] = {}
    for layer, _ in pairs:
        for inner in flatten_layers(layer):
            other: Any = holders.setdefault(id(inner), layer)
            if other is not layer and inner.weights:
                raise InputError(
                    f"layers '{other.name}' and '{layer.name}' share the "
                    f"weights of '{inner.name}', which their copies would not: "
                    f"{_WITHOUT_A_COPY}"
                )


def _clone_layer(layer: Any, plain: bool) -> Any:
    face = plain_face(layer) if plain else contextlib.nullcontext()
    with face:
        return rebuilt(layer, _config(layer), advice=_WITHOUT_A_COPY)


def _made_again(model: keras.Model, plain: bool) -> keras.Model:
    """Returns a subclassed model, made anew from its configuration."""
    compiled, model.compiled = model.compiled, False
    try:
        with contextlib.ExitStack() as contexts:
            if plain:
                contexts.enter_context(plain_face(model))
            contexts.enter_context(warnings.catch_warnings())
            # That it could not be built: the sizes of its weights say so.
            warnings.simplefilter("ignore")
            kind = type(model)
            copy = kind.from_config(
                taken_by_constructor(kind, model.get_config())
            )
            build_like(copy, model)
    # Anything: the constructor is a user's.
    except Exception as error:
        raise _not_copied(model, reason_of(error)) from error
    finally:
        model.compiled = compiled
    copy.built = True
    copy.trainable = model.trainable
    _check_alike(model, copy)
    return copy


def build_like(copy: keras.Model, model: keras.Model) -> None:
    """Builds a copy of a model, for the shapes that the model was built for.

    Args:
        copy: Made from the model's configuration, built or not.
        model: The model.
    """
    shapes = model.get_build_config()
    if shapes and not _is_built_like(copy, model):
        copy.build_from_config(shapes)
        if not _is_built_like(copy, model):
            build_by_call(copy, shapes)


def _is_built_like(copy: keras.Model, model: keras.Model) -> bool:
    return len(flatten_layers(copy)) == len(flatten_layers(model)) and all(
        layer.built for layer in flatten_layers(copy)
    )


def _not_copied(layer: Any, why: str) -> InputError:
    with plain_face(layer):
        kind = type(layer).__name__
    return InputError(
        f"'{layer.name}' ({kind}) can't be copied from its configuration: "
        f"{why}. Give it a get_config() and a build() that make all its layers "
        f"and weights, or {_WITHOUT_A_COPY}"
    )


def reason_of(error: BaseException) -> str:
    """Returns the first paragraph of an error as one line, its dot left out."""
    paragraph = str(error).strip().split("\n\n")[0]
    return " ".join(paragraph.split()).rstrip(".") or type(error).__name__


def rebuilt(
    operation: Any,
    config: dict[str, Any],
    kind: Any = None,
    name: str | None = None,
    advice: str = "",
) -> Any:
    """Returns another layer or operation in the place of a given one.

    Args:
        operation: The given one.
        config: The configuration to make it from.
        kind: Its class, by default that of the given one.
        name: What to call the given one in an error, by default its name.
        advice: What to do without it, for an error.

    Raises:
        InputError: If the class does not make one of the configuration.
    """
    kind = kind or type(operation)
    try:
        with trusting_functions():
            copy = kind.from_config(config)
        share_functions(operation, copy)
    # Anything: lambdas, and layers of others that do not take their arguments.
    except Exception as error:
        taken = _taken(kind, config)
        with contextlib.suppress(Exception):
            copy = kind.from_config(taken)
            _keep_to_what_is_taken(copy)
            return copy
        cause: BaseException = error
        # Keras puts the whole configuration around what is wrong with it.
        while cause.__context__ is not None:
            cause = cause.__context__
        raise InputError(
            f"layer '{name or operation.name}' ({type(operation).__name__}) "
            f"can't be rebuilt from its configuration: {reason_of(cause)}"
            f"{advice and f'. You may {advice}'}"
        ) from error
    if "get_config" in vars(operation):
        _keep_to_what_is_taken(copy)
    return copy


def _taken(kind: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration without what no constructor of a class takes.

    As layers of KerasHub have in theirs, which are only loaded in models whose
    configuration is not made of those of layers.
    """
    names: set[str] = set()
    for cls in kind.__mro__:
        if "__init__" in vars(cls):
            names |= inspect.signature(cls.__init__).parameters.keys()
    return {key: value for key, value in config.items() if key in names}


def _keep_to_what_is_taken(layer: Any) -> None:
    """Lets files have a configuration that the layer can be made of."""
    get_config = layer.get_config
    layer.get_config = lambda: _taken(type(layer), get_config())


def plain_copy(layer: MaskedLayer) -> Any:
    """Returns the plain layer of a masked one, not built."""
    return _clone_layer(layer, plain=True)


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


def copy_layer_weights(old: Any, new: Any) -> None:
    """Copies the weights of a layer, and of those inside, to its counterpart.

    Args:
        old: The layer to read.
        new: The other one. If it alone is masked, its scores follow from its
            weights; if it alone is plain, pruned weights are 0.
    """
    for source, target in zip(
        flatten_layers(old), flatten_layers(new), strict=True
    ):
        _copy_own_weights(source, target)
    copy_adapted(old, new)


def _copy_own_weights(old: Any, new: Any) -> None:
    for target, source in zip(
        generator_states(new), generator_states(old), strict=True
    ):
        target.assign(source)
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
    for target, source in zip(
        own_variables(new), own_variables(old), strict=True
    ):
        target.assign(source)
    if old_masked:
        for source, target in zip(
            own_variables(old), own_variables(new), strict=True
        ):
            for view in old.all_views():
                if view.masked_kernel.variable is source:
                    target.assign(pruned(view))
    if new_masked:
        for view in new.all_views():
            view.reset_scores()


def copy_adapted(old: Any, new: Any) -> None:
    """Copies what `adapt` found to a layer, and to those inside it.

    Its variables have to be copied before: a `Normalization` computes with
    constants that it makes of them.

    Args:
        old: The layer or model to read.
        new: Its counterpart.

    Raises:
        InputError: If a layer's vocabulary cannot be copied.
    """
    for source, target in zip(
        flatten_layers(old), flatten_layers(new), strict=True
    ):
        if isinstance(target, keras.layers.Normalization):
            target.finalize_state()
        if hasattr(target, "load_assets"):
            _copy_assets(source, target)


def _copy_assets(source: Any, target: Any) -> None:
    """Copies vocabularies as a `.keras` file does."""
    stored: dict[str, Any] = {}
    try:
        source.save_own_variables(stored)
        target.load_own_variables(stored)
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            target.load_assets(folder)
    # Anything: a lookup without vocabulary, or a user's own layer.
    except Exception as error:
        raise InputError(
            f"layer '{source.name}' ({type(source).__name__}) can't be copied "
            f"with its vocabulary: {reason_of(error)}. Give it a vocabulary "
            f"(`adapt`, or the argument `vocabulary`), or {_WITHOUT_A_COPY}"
        ) from error


def pruned(view: Any) -> np.ndarray:
    """Returns a masked weight with zeros where it is pruned."""
    weight = keras.ops.convert_to_numpy(view.masked_kernel.variable)
    mask = keras.ops.convert_to_numpy(view.mask)
    # Not a product: that leaves negative zeros.
    return np.where(mask > 0, weight, np.zeros_like(weight))
