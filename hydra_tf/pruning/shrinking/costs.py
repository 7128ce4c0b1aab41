"""What a network costs: weights, operations and time."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.graph import walk
from hydra_tf.layers.traversal import find_masked
from hydra_tf.pruning.convert import strip_masks
from hydra_tf.pruning.flops import model_flops
from hydra_tf.text import table

# Calls before those that are timed: tracing, allocation, caches.
_WARMUP = 3


@dataclasses.dataclass(frozen=True)
class ModelCosts:
    """The figures of one model.

    Attributes:
        weights: Number of weights, biases and normalisation included, zeros
            too; scores and masks are not.
        flops: Floating-point operations of dense layers and convolutions for
            one example (two per weight and position), zeros included; `None`
            if the size of the input is open.
        seconds: Median seconds of one call on a batch.
    """

    weights: int
    flops: int | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class ShrinkReport:
    """What shrinking a model has brought.

    `str(report)` is a table for people, `to_dict()` plain data for files.

    Attributes:
        before: The figures of the given model.
        after: Those of the smaller one.
        batch_size: Examples in the batch that was timed.
    """

    before: ModelCosts
    after: ModelCosts
    batch_size: int

    @property
    def speedup(self) -> float:
        """How many times faster the smaller model is."""
        return self.before.seconds / self.after.seconds

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures by name."""
        return {**dataclasses.asdict(self), "speedup": self.speedup}

    def __str__(self) -> str:
        rows = []
        for name, scale, form in (
            ("weights", 1, "{:,.0f}"),
            ("flops", 1, "{:,.0f}"),
            ("seconds", 1e3, "{:,.2f} ms"),
        ):
            old, new = getattr(self.before, name), getattr(self.after, name)
            if old is not None and new is not None:
                cells = (form.format(each * scale) for each in (old, new))
                rows.append((name, *cells, f"{new / max(old, 1e-12):.3f}"))
        return table(("", "before", "after", "ratio"), rows)


def shrink_report(
    before: keras.Model,
    after: keras.Model,
    *,
    batch_size: int = 1,
    repeats: int = 25,
) -> ShrinkReport:
    """Counts the weights and operations of two models, and times them.

    Both run in inference mode, compiled by `tf.function`, in turn, so that a
    busy machine slows them down alike.

    Args:
        before: Functional or Sequential model, masked or plain.
        after: The model to compare it with, as from `hydra_tf.shrink`.
        batch_size: Positive integer, examples in the batch that is timed.
        repeats: Positive integer, timed calls of each; the median counts.

    Raises:
        InputError: If a number is not positive, a model is neither Functional
            nor Sequential, or its input has open sizes.
    """
    for name, number in (("batch_size", batch_size), ("repeats", repeats)):
        if number < 1:
            raise InputError(
                f"`{name}` must be a positive integer. Received: "
                f"{name}={number}"
            )
    seconds: tuple[list[float], list[float]] = ([], [])
    timed = [
        (_timed_call(model, batch_size), times)
        for model, times in zip((before, after), seconds, strict=True)
    ]
    for round_number in range(_WARMUP + repeats):
        for call, times in timed:
            start = time.perf_counter()
            call()
            if round_number >= _WARMUP:
                times.append(time.perf_counter() - start)
        # Neither is always the one that finds the other's data in the caches.
        timed.reverse()
    return ShrinkReport(
        _costs(before, statistics.median(seconds[0])),
        _costs(after, statistics.median(seconds[1])),
        batch_size,
    )


def _costs(model: keras.Model, seconds: float) -> ModelCosts:
    plain = strip_masks(model) if find_masked(model) else model
    return ModelCosts(
        weights=sum(
            math.prod(variable.shape)
            for variable in plain.weights
            if "seed_generator" not in variable.path
        ),
        flops=model_flops(plain),
        seconds=seconds,
    )


def _timed_call(model: keras.Model, batch_size: int) -> Callable[[], Any]:
    walk(model)  # Raises what is to be raised about the model.
    tensors = []
    for tensor in model.inputs:
        shape = (batch_size, *tensor.shape[1:])
        if None in shape:
            raise InputError(
                f"model '{model.name}' must have inputs of fixed size to be "
                f"timed. Received: input shape={tuple(tensor.shape)}"
            )
        # Not zeros, which some kernels multiply faster.
        values = tf.random.stateless_uniform(shape, seed=[0, 1])
        tensors.append(tf.cast(values, tensor.dtype))
    inputs = (
        tensors[0]
        if isinstance(model, keras.Sequential)
        else keras.tree.pack_sequence_as(model.input, tensors)
    )
    function = tf.function(lambda x: model(x, training=False), autograph=False)

    def call() -> None:
        for output in keras.tree.flatten(function(inputs)):
            output.numpy()

    return call
