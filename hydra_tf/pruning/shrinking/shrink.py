"""From a network with channels that do nothing to a smaller one."""

from __future__ import annotations

import keras

from hydra_tf.graph import walk
from hydra_tf.layers.traversal import find_masked
from hydra_tf.pruning.channels.flow import ChannelFlow
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.convert import strip_masks
from hydra_tf.pruning.shrinking.liveness import Liveness
from hydra_tf.pruning.shrinking.liveness import find_live
from hydra_tf.pruning.shrinking.rebuild import rebuild
from hydra_tf.registry.granularities import MULTIPLE_OF


def shrink(model: keras.Model, *, multiple_of: int = 1) -> keras.Model:
    """Returns a smaller plain model with the same outputs.

    Channels that have no part in the outputs are removed from the weights of
    all the layers that they pass through: convolutions, depthwise convolutions,
    dense layers (behind flattening, too), batch normalisation, additions,
    concatenations and the like. A channel goes if

    * every layer that reads it has zeros for it, or reads it only for channels
      that go themselves: this is what masks of granularity `"channel"`,
      `"filter"` and `"neuron"` leave; or
    * it is the same number everywhere, for every image, and that number can
      become a part of the biases of the layers that read it (a layer without
      one gets one).

    A head of `MultiHeadAttention` or `GroupedQueryAttention` goes if the
    projection behind the heads has zeros for it, as masks of granularity
    `"head"` leave them.

    Every tensor keeps at least one channel, attention at least one head. Zeros
    here and there, as those of masks of single weights or N:M, leave whole
    channels in use: there is little or nothing to remove from such models.
    Channels of the model's inputs and
    outputs, and those next to grouped or `channels_first` convolutions,
    softmax, layer normalisation, layers of others and the like, stay.

    Args:
        model: Built Functional or Sequential model, or a subclassed one whose
            `call` is made of layers and `keras.ops`, from one tensor to one;
            masked (the masks are stripped first, see `strip_masks`) or plain.
            It is left as it is.
        multiple_of: Integer >= 1, what the number of channels of each tensor
            is rounded up to a multiple of, as vector units like it (8, 16 or
            32), or to all there are: channels that could go stay, with zeros.

    Returns:
        A model of Keras' own layers (and of those custom layers that the given
        one holds), not compiled, with the names of inputs, layers and outputs.
        Nested models become a part of one graph, and so do composite layers
        and nested subclassed models that lose channels in them; where layers in
        them share a name, it gets the names of what is around it in front. Of
        a subclassed model a Functional one is made. Outputs are equal up to
        rounding.

    Raises:
        InputError: If an argument is wrong, or the model does not show the
            calls of its layers, is not built, or can't be copied.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(3, activation="relu", name="hidden"),
    ...     keras.layers.Dense(2, name="logits")])
    >>> _ = model.get_layer("logits").kernel.assign([[1, 2], [0, 0], [3, 4]])
    >>> hydra_tf.shrink(model).get_layer("hidden").units
    2
    """
    MULTIPLE_OF.check(multiple_of)
    walk(model)  # Raises where `strip_masks` would speak of masks.
    if find_masked(model):
        model = strip_masks(model)
    flow = channel_flow(model)
    liveness = find_live(flow, multiple_of)
    whole = _whole_layers(flow, liveness)
    if whole:
        flow = channel_flow(model, is_leaf=lambda layer: id(layer) in whole)
        liveness = find_live(flow, multiple_of)
    return rebuild(model, flow, liveness)


def _whole_layers(flow: ChannelFlow, liveness: Liveness) -> set[int]:
    """Returns the composite layers, by identity, that lose nothing.

    Not those inside of others, which may have no configuration.
    """
    opened: set[int] = set()
    losing: set[int] = set()
    for call in flow.walk.calls:
        around = {id(layer) for layer in call.inside[:1]}
        opened |= around
        units = [flow.values[each.number] for each in call.inputs]
        units += [flow.values[each.number] for each in call.outputs]
        units.append(flow.heads.get(id(call.operation)))
        if not all(each is None or liveness.kept[each].all() for each in units):
            losing |= around
    return opened - losing
