"""What all masked layers share: scores, density, phase and effective kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.layers import kernel_scope
from hydra_tf.masks import check_density
from hydra_tf.masks import topk_mask

PHASES = ("pretrain", "prune", "finetune")

SCALED = "scaled"


def check_phase(phase: str | None) -> None:
    """Raises `InputError` unless `phase` is a phase or `None`."""
    if phase is not None and phase not in PHASES:
        raise InputError(
            f"`phase` must be one of {', '.join(PHASES)}. "
            f"{close_matches(str(phase), PHASES)} Received: phase={phase!r}"
        )


class _WatchedVariable(keras.Variable):
    """A variable that calls back after it was assigned or restored.

    The finetune phase reads a stored mask. Whoever assigns scores or a density
    by hand, or restores a `tf.train.Checkpoint`, then gets the new mask without
    another call.
    """

    def __init__(self, *args: Any, on_assign: Callable[[], None], **kwargs):
        self._on_assign = on_assign
        super().__init__(*args, **kwargs)

    def assign(self, value: Any) -> Any:
        result = super().assign(value)
        self._on_assign()
        return result

    def _restore_from_tensors(self, restored_tensors: Any) -> Any:
        result = super()._restore_from_tensors(restored_tensors)
        self._on_assign()
        return result

    def __float__(self) -> float:
        # Keras's own fails for the variables of a distribution strategy.
        return float(np.asarray(self.value))


class _DerivedVariable(_WatchedVariable):
    """A stored mask, which only its layer can change.

    Weights taken from another phase carry a mask that is out of date there;
    calling back after it arrived derives it anew.
    """

    def store(self, value: Any) -> None:
        """Assigns without calling back."""
        keras.Variable.assign(self, value)


class MaskedLayer:
    """Mix-in that masks the kernel of a Keras layer.

    A concrete layer derives from this class first, then from the Keras layer
    whose kernel it masks, computes its `call` with `effective_kernel`, and
    says in `plain_class` which Keras layer it becomes when the masks are
    stripped.

    What trains depends on the phase:

    | phase    | kernel, bias | scores | mask                                  |
    |----------|--------------|--------|---------------------------------------|
    | None     | train        | train  | top-k of the scores, in every call    |
    | pretrain | train        | frozen | all ones, whatever the density        |
    | prune    | frozen       | train  | top-k of the scores, in every call    |
    | finetune | train        | frozen | constant, until scores or density are |
    |          |              |        | assigned                              |

    Args:
        density: Float in (0, 1], fraction of the kernel's entries kept.
        scores_initializer: `"scaled"` (the default: the initial kernel scaled
            per layer, so that the mask keeps the largest weights) or any Keras
            initializer.
        phase: `None` (kernel and scores train together), `"pretrain"`,
            `"prune"` or `"finetune"`.

    Attributes:
        kernel: Float variable, the layer's weights.
        scores: Float32 variable of the kernel's shape.
        density: Float64 scalar variable; `float(layer.density)` reads it.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3
    """

    plain_class: type[keras.layers.Layer]

    # What the Keras layer brings.
    activation: Any
    bias: Any
    built: bool
    compute_dtype: str
    data_format: str
    kernel: Any
    name: str
    path: str
    rank: int
    use_bias: bool
    variable_dtype: str
    _trainable: bool

    def __init__(
        self,
        *args: Any,
        density: float = 1.0,
        scores_initializer: Any = SCALED,
        phase: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_density(density)
        check_phase(phase)
        super().__init__(*args, **kwargs)
        if getattr(self, "lora_rank", None):
            raise InputError("a masked layer cannot have `lora_rank`")
        self._initial_density = float(density)
        self.scores_initializer: Any = (
            SCALED
            if scores_initializer in (None, SCALED)
            else keras.initializers.get(scores_initializer)
        )
        self._phase = phase
        self.built_input_shape: tuple[int | None, ...] | None = None

    # --- weights -----------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)  # type: ignore[misc]
        self.built_input_shape = tuple(input_shape)
        shape = tuple(self.kernel.shape)
        self.scores = _WatchedVariable(
            self._initial_scores,
            shape=shape,
            dtype="float32",
            autocast=False,
            name="scores",
            on_assign=self._refresh_mask,
        )
        self._density = _WatchedVariable(
            # Not a Keras constant, which would pass through float32.
            lambda shape, dtype: tf.constant(self._initial_density, dtype),
            shape=(),
            dtype="float64",
            trainable=False,
            autocast=False,
            name="density",
            on_assign=self._refresh_mask,
        )
        # The mask of the finetune phase. The other phases do not read it.
        self._stored_mask = _DerivedVariable(
            lambda shape, dtype: self._live_mask() > 0,
            shape=shape,
            dtype="bool",
            trainable=False,
            autocast=False,
            name="mask",
            on_assign=self._refresh_mask,
        )
        self._apply_phase()

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") == "kernel":
            # Cast after the mask is applied: see `effective_kernel`.
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    def _initial_scores(self, shape: Any, dtype: Any = None) -> tf.Tensor:
        if self.scores_initializer == SCALED:
            kernel = tf.cast(tf.convert_to_tensor(self.kernel.value), dtype)
            return scaled_scores(kernel, self.fan_in)
        return self.scores_initializer(shape, dtype=dtype)

    @property
    def fan_in(self) -> int:
        """Number of inputs that one output of the kernel reads."""
        return int(np.prod(self.kernel.shape[:-1]))

    @property
    def density(self) -> keras.Variable | float:
        """Fraction of kernel entries kept: a weight (a float until built)."""
        return self._density if self.built else self._initial_density

    @density.setter
    def density(self, value: float) -> None:
        check_density(value)
        if self.built:
            self._density.assign(float(value))
        else:
            self._initial_density = float(value)

    # --- phase -------------------------------------------------------------

    @property
    def phase(self) -> str | None:
        """`None`, `"pretrain"`, `"prune"` or `"finetune"`."""
        return self._phase

    @phase.setter
    def phase(self, value: str | None) -> None:
        check_phase(value)
        self._phase = value
        self._apply_phase()

    @property
    def trainable(self) -> bool:
        """Whether the layer trains at all; the phase says which weights."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)  # type: ignore[attr-defined]
        self._apply_phase()

    def _apply_phase(self) -> None:
        if not self.built and not hasattr(self, "_stored_mask"):
            return
        trains = bool(self._trainable)
        self.scores.trainable = trains and self._phase in (None, "prune")
        self.kernel.trainable = trains and self._phase != "prune"
        if getattr(self, "bias", None) is not None:
            self.bias.trainable = self.kernel.trainable
        self._refresh_mask()

    def _refresh_mask(self) -> None:
        if self._phase == "finetune" and hasattr(self, "_stored_mask"):
            self._stored_mask.store(self._live_mask() > 0)

    # --- mask and effective kernel -----------------------------------------

    def _live_mask(self) -> tf.Tensor:
        return topk_mask(self.scores.value, self._density.value)

    @property
    def mask(self) -> tf.Tensor:
        """Float32 zeros and ones, of the kernel's shape.

        Differentiable with respect to the scores (straight-through) where
        the phase trains them.
        """
        if not self.built:
            raise AttributeError(
                "You must build the layer before accessing `mask`."
            )
        if self._phase == "pretrain":
            return tf.ones(self.scores.shape)
        if self._phase == "finetune":
            return tf.cast(self._stored_mask.value, tf.float32)
        return self._live_mask()

    @property
    def stored_mask(self) -> keras.Variable:
        """Bool variable with the mask of the finetune phase."""
        return self._stored_mask

    @property
    def effective_kernel(self) -> tf.Tensor:
        """`kernel * mask`, in the layer's compute dtype."""
        kernel = self.kernel.value
        if self._phase != "pretrain":
            # Multiplied at full precision: the scores' gradient needs it.
            kernel = kernel * tf.cast(self.mask, kernel.dtype)
        return tf.cast(kernel, self.compute_dtype)

    def kernel_for_call(self) -> tf.Tensor:
        """The effective kernel, or the one that a context shares."""
        kernel = kernel_scope.shared_kernel(self)
        return self.effective_kernel if kernel is None else kernel

    # --- serialisation -----------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        if not self.built:
            return
        for name, variable in self._stored_variables().items():
            store[name] = variable

    def load_own_variables(self, store: Any) -> None:
        variables = self._stored_variables()
        if set(store.keys()) != set(variables):
            raise InputError(
                f"layer '{self.name}' needs the weights "
                f"{', '.join(variables)}; the file holds "
                f"{', '.join(sorted(store.keys())) or 'none'}: it was not "
                "written by this masked model"
            )
        for name, variable in variables.items():
            variable.assign(store[name])
        # Also in the phases that do not read it: the same file gives the same
        # weights.
        self._stored_mask.store(self._live_mask() > 0)

    def _stored_variables(self) -> dict[str, keras.Variable]:
        variables = {"kernel": self.kernel}
        if getattr(self, "bias", None) is not None:
            variables["bias"] = self.bias
        # Not the mask: it follows from these two.
        return {**variables, "scores": self.scores, "density": self._density}

    def get_config(self) -> dict[str, Any]:
        scores_initializer = self.scores_initializer
        if scores_initializer != SCALED:
            scores_initializer = keras.initializers.serialize(
                scores_initializer
            )
        return {
            **super().get_config(),  # type: ignore[misc]
            "density": float(self.density),
            "scores_initializer": scores_initializer,
            "phase": self._phase,
        }

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise InputError(
            f"masked layer '{self.name}' does not support LoRA: strip the "
            "masks first (hydra_tf.strip_masks)"
        )

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        raise InputError(
            f"masked layer '{self.name}' cannot be quantised: strip the masks "
            "first (hydra_tf.strip_masks)"
        )

    # --- helpers of the convolutions ---------------------------------------

    def _add_bias_and_activate(self, outputs: tf.Tensor) -> tf.Tensor:
        if self.use_bias:
            bias = self.bias
            if self.data_format == "channels_first":
                bias = ops.reshape(bias, (1, -1) + (1,) * self.rank)
            outputs = ops.add(outputs, bias)
        if self.activation is not None:
            outputs = self.activation(outputs)
        return outputs


def scaled_scores(kernel: tf.Tensor, fan_in: int) -> tf.Tensor:
    """Returns `sqrt(6 / fan_in) * kernel / max|kernel|`.

    The first mask then keeps the largest weights. A kernel of zeros gives
    scores of zero.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), equation 4
    """
    largest = tf.reduce_max(tf.abs(kernel))
    scale = tf.cast(np.sqrt(6.0 / fan_in), kernel.dtype)
    return tf.math.divide_no_nan(scale * kernel, largest)
