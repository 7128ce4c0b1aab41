"""Rebuilding a network with fewer channels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.graph import Call
from hydra_tf.graph import Value
from hydra_tf.graph import Walk
from hydra_tf.graph import shows_layers
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import generator_states
from hydra_tf.keras_internals import operation_of
from hydra_tf.pruning.channels import attention
from hydra_tf.pruning.channels.flow import ChannelFlow
from hydra_tf.pruning.channels.flow import LayerChannels
from hydra_tf.pruning.channels.rules import KERNEL_RULES
from hydra_tf.pruning.channels.rules import Rule
from hydra_tf.pruning.channels.rules import has_weights
from hydra_tf.pruning.channels.rules import kernel_axes
from hydra_tf.pruning.channels.rules import rule_of
from hydra_tf.pruning.copying import copy_adapted
from hydra_tf.pruning.copying import rebuilt
from hydra_tf.pruning.shrinking.liveness import Liveness


def rebuild(
    model: keras.Model, flow: ChannelFlow, liveness: Liveness
) -> keras.Model:
    """Returns a network of the channels that stay, with their weights.

    Args:
        model: Plain model whose graph can be walked; it is left as it is.
        flow: Its channels.
        liveness: Which of them stay.
    """
    builder = _Builder(flow, liveness)
    layers = _input_layers(model, flow.walk)
    builder.reserve(layer.name for layer in layers)
    is_flat = type(model) is keras.Sequential and not any(
        "/" in call.name for call in flow.walk.calls
    )
    if is_flat:
        layers += [builder.smaller(call) for call in flow.walk.calls]
        smaller = keras.Sequential(layers, name=model.name)
    else:
        tensors = {}
        for value, layer in zip(flow.walk.inputs, layers, strict=True):
            tensors[value.number] = layer.output
        inputs = list(tensors.values())
        for call in flow.walk.calls:
            builder.call(call, tensors)
        outputs = [tensors[value.number] for value in flow.walk.outputs]
        if shows_layers(model):
            outputs = [
                builder.named(output, tensor)
                for output, tensor in zip(outputs, model.outputs, strict=True)
            ]
        smaller = keras.Model(
            _packed(model, "input", inputs),
            _packed(model, "output", outputs),
            name=model.name,
        )
    if not model.trainable:
        smaller.trainable = False
    builder.assign_weights()
    return smaller


def _input_layers(model: keras.Model, walk: Walk) -> list[Any]:
    if not shows_layers(model):
        return [
            keras.layers.InputLayer(each.shape[1:], dtype=each.dtype)
            for each in walk.inputs
        ]
    layers = [operation_of(tensor) for tensor in model.inputs]
    return [type(each).from_config(each.get_config()) for each in layers]


def _packed(model: keras.Model, name: str, tensors: Sequence[Any]) -> Any:
    """Returns tensors in the structure of a model's inputs or outputs."""
    if isinstance(model, keras.Sequential) or not shows_layers(model):
        return tensors[0]
    return keras.tree.pack_sequence_as(getattr(model, name), list(tensors))


class _Builder:
    """Makes the smaller copies of layers, and calls them as the originals."""

    def __init__(self, flow: ChannelFlow, liveness: Liveness) -> None:
        self._flow = flow
        self._liveness = liveness
        self._channels = {id(each.layer): each for each in flow.layers}
        # By identity of the original; it is called as often as that.
        self._smaller: dict[int, Any] = {}
        self._pairs: list[tuple[Call, Any]] = []
        self._names: set[str] = set()
        # Those of layers that are in no nested model come first.
        self._outer_names = {
            call.operation.name
            for call in flow.walk.calls
            if "/" not in call.name
        }

    def reserve(self, names: Iterable[str]) -> None:
        """Keeps names from being given to layers."""
        self._names.update(names)

    def named(self, output: Any, original: Any) -> Any:
        """Returns an output under the name that the original has.

        That is the name of a nested model, if it comes from one.
        """
        name = operation_of(original).name
        if name in self._names:
            return output
        self._names.add(name)
        return keras.layers.Identity(name=name, dtype=original.dtype)(output)

    def call(self, call: Call, tensors: dict[int, Any]) -> None:
        """Repeats a call; adds its outputs to the tensors by number."""
        args, kwargs = call.arguments(tensors)
        outputs = keras.tree.flatten(self.smaller(call)(*args, **kwargs))
        for value, output in zip(call.outputs, outputs, strict=True):
            tensors[value.number] = output

    def smaller(self, call: Call) -> Any:
        """Returns the smaller copy of the layer or operation of a call."""
        operation = call.operation
        if id(operation) not in self._smaller:
            config = {**operation.get_config(), **self._changes(call)}
            if "name" in config:
                config["name"] = self._unique_name(call)
            self._smaller[id(operation)] = rebuilt(
                operation, config, name=call.name
            )
            self._pairs.append((call, self._smaller[id(operation)]))
        return self._smaller[id(operation)]

    def assign_weights(self) -> None:
        """Gives the copies the weights that stay. They have to be built."""
        for call, copy in self._pairs:
            if rule_of(call) in KERNEL_RULES:
                channels = self._channels[id(call.operation)]
                self._assign_kernel(channels, copy)
            elif id(call.operation) in self._flow.heads:
                self._assign_attention(call.operation, copy)
            elif has_weights(call.operation):
                self._assign_others(call, copy)
            if isinstance(copy, keras.layers.Layer):
                copy_adapted(call.operation, copy)

    # --- configuration -------------------------------------------------------

    def _changes(self, call: Call) -> dict[str, Any]:
        """Returns what the copy's configuration has that is different."""
        layer = call.operation
        if id(layer) in self._channels:
            return self._changes_of_kernel(self._channels[id(layer)])
        if id(layer) in self._flow.heads:
            heads = self._kept_units(self._flow.heads[id(layer)])
            return attention.smaller_config(layer, int(np.count_nonzero(heads)))
        changes: dict[str, Any] = {}
        kept = self._kept(call.outputs[0])
        if rule_of(call) is Rule.RESHAPE and not kept.all():
            shape = (*call.output_shape[1:-1], int(np.count_nonzero(kept)))
            if isinstance(layer, keras.layers.Reshape):
                changes["target_shape"] = shape
            elif not isinstance(layer, keras.layers.Flatten):
                changes["newshape"] = (-1, *shape)
        return changes

    def _changes_of_kernel(self, channels: LayerChannels) -> dict[str, Any]:
        layer = channels.layer
        changes: dict[str, Any] = {}
        is_einsum = isinstance(layer, keras.layers.EinsumDense)
        folded = self._liveness.folded.get(id(layer))
        if folded is not None and folded.any() and layer.bias is None:
            changes |= (
                {"bias_axes": layer.equation.rstrip()[-1]}
                if is_einsum
                else {"use_bias": True}
            )
        if not self._kept_units(channels.outputs).all():
            count = int(np.count_nonzero(self._kept_units(channels.outputs)))
            if is_einsum:
                shape = layer.get_config()["output_shape"]
                changes["output_shape"] = (*shape[:-1], count)
            elif isinstance(layer, keras.layers.Dense):
                changes["units"] = count
            elif not isinstance(layer, keras.layers.DepthwiseConv2D):
                changes["filters"] = count
        return changes

    def _unique_name(self, call: Call) -> str:
        """Returns the layer's name, or the path to it if that is taken."""
        # Not the operation's: those in composite layers are made anew.
        name = re.sub(r":\d+$", "", call.name.rsplit("/", 1)[-1])
        is_inner = "/" in call.name
        if name in self._names or (is_inner and name in self._outer_names):
            name = call.name.replace("/", "_").replace(":", "_")
        stem, count = name, 1
        while name in self._names | (self._outer_names if is_inner else set()):
            count += 1
            name = f"{stem}_{count}"
        self._names.add(name)
        return name

    # --- weights -------------------------------------------------------------

    def _kept(self, value: Value) -> np.ndarray:
        units = self._flow.values.get(value.number)
        return np.ones(0, bool) if units is None else self._kept_units(units)

    def _kept_units(self, units: np.ndarray) -> np.ndarray:
        return self._liveness.kept[units]

    def _assign_kernel(self, channels: LayerChannels, copy: Any) -> None:
        layer = channels.layer
        inputs = self._kept_units(channels.inputs)
        outputs = self._kept_units(channels.outputs)
        kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
        kernel = kernel_axes(layer).unfolded(kernel)
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            kernel = kernel[..., inputs, :]
        else:
            # A channel that only stays because one has to is not read.
            kernel[..., ~self._liveness.live[channels.inputs], :] = 0
            kernel[..., ~self._liveness.live[channels.outputs]] = 0
            kernel = kernel[..., inputs, :][..., outputs]
        copy.kernel.assign(kernel_axes(copy).folded(kernel))
        if copy.bias is None:
            return
        bias = np.zeros(1)
        if layer.bias is not None:
            bias = np.ravel(keras.ops.convert_to_numpy(layer.bias))
        folded = self._liveness.folded.get(id(layer))
        if folded is not None:
            bias = (bias + folded).astype(kernel.dtype)
        bias = np.broadcast_to(bias, outputs.shape)[outputs]
        copy.bias.assign(bias.reshape(copy.bias.shape))

    def _assign_attention(self, layer: Any, copy: Any) -> None:
        for old, new in zip(
            flatten_layers(layer), flatten_layers(copy), strict=True
        ):
            if id(old) in self._channels:
                self._assign_kernel(self._channels[id(old)], new)
            for source, target in zip(
                generator_states(old), generator_states(new), strict=True
            ):
                target.assign(source)

    def _assign_others(self, call: Call, copy: Any) -> None:
        """Weights along the last axis lose channels, as those of PReLU."""
        kept: np.ndarray = np.ones(0, bool)
        if rule_of(call) is Rule.ELEMENTWISE:
            kept = self._kept(call.outputs[0])
        for old, new in zip(
            call.operation.variables, copy.variables, strict=True
        ):
            value = keras.ops.convert_to_numpy(old)
            if value.shape != tuple(new.shape):
                value = value[..., kept]
            new.assign(value)
