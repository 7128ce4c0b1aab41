"""What all masked layers share: scores, density, phase and effective kernel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.granularity import CHANNEL
from hydra_tf.granularity import STRUCTURED
from hydra_tf.granularity import WEIGHT
from hydra_tf.granularity import check_granularity
from hydra_tf.granularity import is_n_of_m
from hydra_tf.granularity import n_of_m
from hydra_tf.layers import kernel_scope
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.scores import DerivedVariable
from hydra_tf.layers.scores import Scores
from hydra_tf.layers.scores import check_learns
from hydra_tf.masks import check_density
from hydra_tf.masks import n_of_m_mask
from hydra_tf.rates import check_min_density

PHASES = ("pretrain", "prune", "finetune")

SCALED = "scaled"

# The arguments that a masked layer has beyond its plain class.
MASK_ARGUMENTS = (
    "density",
    "scores_initializer",
    "phase",
    "granularity",
    "input_channels",
    "output_channels",
    "min_density",
    "other_min_density",
    "learns",
)


def check_phase(phase: str | None) -> None:
    """Raises `InputError` unless `phase` is a phase or `None`."""
    if phase is not None and phase not in PHASES:
        raise InputError(
            f"`phase` must be one of {', '.join(PHASES)}. "
            f"{close_matches(str(phase), PHASES)} Received: phase={phase!r}"
        )


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

    A learned density trains where scores do, and with them or alone (`learns`).

    What is masked depends on the granularity:

    | granularity | scores           | removed                                |
    |-------------|------------------|----------------------------------------|
    | weight      | one a weight     | single weights                         |
    | channel     | one an input     | input channels, the `ceil(density *    |
    |             | channel          | channels)` of largest score stay       |
    | filter      | one an output    | output channels, likewise              |
    |             | channel          |                                        |
    | N:M         | one a weight     | all but N of every M consecutive input |
    |             |                  | channels of each kernel position and   |
    |             |                  | output; the density is N / M           |

    In a network made by `hydra_tf.to_masked` with granularity `"channel"` or
    `"filter"`, layers whose channels only make sense together share their
    scores, and a removed channel is removed on both sides: nobody reads it,
    and the mask of what computes it follows. The mask acts, in the prune
    phase, where channels are read, so that gradients say what each channel
    that is removed now would be worth. Biases are never masked.

    Args:
        density: Float in (0, 1], fraction of the kernel's entries (of the
            channels) kept.
        scores_initializer: `"scaled"` (the default: the initial kernel scaled
            per layer, so that the mask keeps the largest weights) or any Keras
            initializer.
        phase: `None` (kernel and scores train together), `"pretrain"`,
            `"prune"` or `"finetune"`.
        granularity: `"weight"`, `"channel"`, `"filter"` or `"N:M"`, for
            instance `"2:4"`.
        input_channels: `Channels` on the input side, from the network that
            the layer is part of; `None` for a layer on its own.
        output_channels: Likewise on the output side.
        min_density: Float in [0, 1), least density that the layer may learn;
            `None` if its density is not learned.
        other_min_density: That of the layers on the other side, whose scores
            this layer's mask depends on as well.
        learns: What trains of a learned density: `"both"` (rate and scores),
            `"scores"` or `"rates"`.

    Attributes:
        kernel: Float variable, the layer's weights.
        scores: Float32 variable, see above for its shape.
        density: Float64 scalar variable; `float(layer.density)` reads it.
        rate: Float32 scalar variable whose sigmoid is the learned density;
            `None` if it is not learned.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3
    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3, learned densities and channels
    """

    plain_class: type[keras.layers.Layer]

    # Which axes of the kernel belong to input and output channels.
    input_axis = -2
    output_axis = -1

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
    _tracker: Any

    scores: Any
    rate: keras.Variable | None = None

    def __init__(
        self,
        *args: Any,
        density: float = 1.0,
        scores_initializer: Any = SCALED,
        phase: str | None = None,
        granularity: str = WEIGHT,
        input_channels: Channels | None = None,
        output_channels: Channels | None = None,
        min_density: float | None = None,
        other_min_density: float | None = None,
        learns: str = "both",
        **kwargs: Any,
    ) -> None:
        check_density(density)
        check_phase(phase)
        check_granularity(granularity)
        check_learns(learns)
        for value in (min_density, other_min_density):
            if value is not None:
                check_min_density(value)
        super().__init__(*args, **kwargs)
        if getattr(self, "lora_rank", None):
            raise InputError("a masked layer cannot have `lora_rank`")
        self._granularity = granularity
        self._initial_density = float(density)
        if is_n_of_m(granularity):
            self._initial_density = self._fixed_density(density)
        self._initial_min_densities = (min_density, other_min_density)
        self.scores_initializer: Any = (
            SCALED
            if scores_initializer in (None, SCALED)
            else keras.initializers.get(scores_initializer)
        )
        self._phase = phase
        self._learns = learns
        self.input_channels = Channels.from_config(input_channels)
        self.output_channels = Channels.from_config(output_channels)
        self.built_input_shape: tuple[int | None, ...] | None = None

    # --- weights -----------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)  # type: ignore[misc]
        self.built_input_shape = tuple(input_shape)
        self._check_channels()
        own, other = self._initial_min_densities
        self._scores = Scores(
            self._initial_scores,
            self._scores_shape(),
            self._initial_density,
            own,
        )
        self._other_scores: Scores | None = None
        far = self._other_channels()
        if far is not None and far.prunable:
            # Of the layers there, which share theirs with this one.
            self._other_scores = Scores(
                lambda shape, dtype: tf.ones(shape, dtype),
                (far.num_units,),
                self._initial_density,
                other,
                prefix="other_",
            )
        self.adopt_scores()
        # The mask of the finetune phase. The other phases do not read it.
        self._stored_mask = DerivedVariable(
            lambda shape, dtype: self._live_mask() > 0,
            shape=tuple(self.kernel.shape),
            dtype="bool",
            trainable=False,
            autocast=False,
            name="mask",
            on_assign=self.refresh_mask,
        )
        self._apply_phase()

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") == "kernel":
            # Cast after the mask is applied: see `effective_kernel`.
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    def adopt_scores(self) -> None:
        """Makes the variables of its scores the layer's own, as they are now.

        For `Scores`, when a rate comes or goes, or layers begin to share.
        """
        sides = [("", self._scores)]
        if self._other_scores is not None:
            sides.append(("other_", self._other_scores))
        # Keras locks a layer that is built against new variables.
        locked = self._tracker.locked
        self._tracker.unlock()
        for prefix, scores in sides:
            scores.add_user(self)
            for name, variable in (
                (f"{prefix}scores", scores.values),
                (f"_{prefix}density", scores.density),
                (f"{prefix}rate", scores.rate),
            ):
                self._replace_variable(name, variable)
        if locked:
            self._tracker.lock()
        if hasattr(self, "_stored_mask"):
            self._apply_phase()

    def _replace_variable(self, name: str, new: keras.Variable | None) -> None:
        old = self.__dict__.get(name)
        if old is new:
            return
        if old is not None:
            self._untrack_variable(old)  # type: ignore[attr-defined]
            # Not Layer's own way, which collects garbage every time.
            super(keras.layers.Layer, self).__delattr__(name)
        if new is not None:
            setattr(self, name, new)

    def share_scores(self, leader: MaskedLayer) -> None:
        """Uses the scores, density and rate of another layer of its group.

        Args:
            leader: A built layer on whose side of the same channels the
                scores are its own.
        """
        self._scores = leader._scores
        self.adopt_scores()

    def share_other_scores(self, leader: MaskedLayer) -> None:
        """Likewise for the channels on the other side of this layer."""
        self._other_scores = leader._scores
        self.adopt_scores()

    def _initial_scores(self, shape: Any, dtype: Any = None) -> tf.Tensor:
        if self.scores_initializer == SCALED:
            if self._granularity in STRUCTURED:
                return scaled_scores(tf.cast(self.unit_norms(), dtype), 1)
            kernel = tf.cast(tf.convert_to_tensor(self.kernel.value), dtype)
            return scaled_scores(kernel, self.fan_in)
        return self.scores_initializer(shape, dtype=dtype)

    @property
    def fan_in(self) -> int:
        """Number of inputs that one output of the kernel reads."""
        return int(np.prod(self.kernel.shape[:-1]))

    @property
    def density(self) -> keras.Variable | float:
        """Fraction of entries kept: a weight (a float until built)."""
        return self._density if self.built else self._initial_density

    @density.setter
    def density(self, value: float) -> None:
        check_density(value)
        if is_n_of_m(self._granularity):
            value = self._fixed_density(value)
        if self.built:
            self._scores.density.assign(float(value))
        else:
            self._initial_density = float(value)

    def _fixed_density(self, value: float) -> float:
        n, m = n_of_m(self._granularity)
        if float(value) not in (1.0, n / m):
            raise InputError(
                f"`density` of a layer of granularity {n}:{m} is {n / m:g}. "
                f"Received: density={value}"
            )
        return n / m

    # --- granularity -------------------------------------------------------

    @property
    def granularity(self) -> str:
        """`"weight"`, `"channel"`, `"filter"` or `"N:M"`."""
        return self._granularity

    @property
    def prunable(self) -> bool:
        """Whether the layer has a density of its own."""
        own = self._own_channels() if self.built else None
        return own is None or own.prunable

    @property
    def num_units(self) -> int:
        """Number of scores that compete."""
        return self._scores.size

    @property
    def _is_connected(self) -> bool:
        """Whether the layer knows the network that it is part of."""
        return self.input_channels is not None

    def _owns_inputs(self) -> bool:
        return self._granularity == CHANNEL

    def _own_channels(self) -> Channels | None:
        """The channels that the layer's scores belong to, if to channels."""
        if self._granularity not in STRUCTURED:
            return None
        if self._owns_inputs():
            return self.input_channels or Channels(self._num_inputs())
        return self.output_channels or Channels(self._num_outputs())

    def _other_channels(self) -> Channels | None:
        if self._granularity not in STRUCTURED:
            return None
        return (
            self.output_channels if self._owns_inputs() else self.input_channels
        )

    def _num_inputs(self) -> int:
        return int(self.kernel.shape[self.input_axis])

    def _num_outputs(self) -> int:
        return int(self.kernel.shape[self.output_axis])

    def _along_inputs(self, vector: tf.Tensor) -> tf.Tensor:
        """Shapes a value for each input channel to go with the kernel."""
        return tf.reshape(vector, [-1] + [1] * (-1 - self.input_axis))

    def _along_outputs(self, vector: tf.Tensor) -> tf.Tensor:
        return tf.reshape(vector, [-1] + [1] * (-1 - self.output_axis))

    def _check_channels(self) -> None:
        kernel = self.kernel.shape
        if is_n_of_m(self._granularity):
            _, m = n_of_m(self._granularity)
            if self._num_inputs() % m:
                raise InputError(
                    f"layer '{self.name}' has {self._num_inputs()} input "
                    f"channels, which granularity {self._granularity} cannot "
                    f"cut into blocks of {m}"
                )
        elif self._granularity in STRUCTURED:
            if not self._is_connected and getattr(self, "groups", 1) > 1:
                raise InputError(
                    f"layer '{self.name}' is a convolution in groups, which "
                    f"granularity {self._granularity} cannot prune"
                )
            for channels, size in (
                (self.input_channels, self._num_inputs()),
                (self.output_channels, self._num_outputs()),
            ):
                if channels is not None and channels.size != size:
                    raise InputError(
                        f"layer '{self.name}' was given {channels.size} "
                        f"channels for a kernel of shape {tuple(kernel)}"
                    )

    def _scores_shape(self) -> tuple[int, ...]:
        own = self._own_channels()
        if own is None:
            return tuple(self.kernel.shape)
        return (own.num_units if own.prunable else 0,)

    def unit_norms(self, values: Any = None) -> np.ndarray:
        """Returns the sum of absolute weights of each score's unit.

        Args:
            values: Array of the kernel's shape to sum up; by default the
                absolute kernel.

        Returns:
            Float64 array of the scores' shape.
        """
        if values is None:
            values = np.abs(ops.convert_to_numpy(self.kernel))
        values = np.asarray(values, np.float64)
        own = self._own_channels()
        if own is None:
            return values
        if not own.prunable:
            return np.zeros(0)
        return own.gather(self._sum_over_channels(values))

    def _sum_over_channels(self, values: np.ndarray) -> np.ndarray:
        axis = self.input_axis if self._owns_inputs() else self.output_axis
        axis %= values.ndim
        return values.sum(
            axis=tuple(i for i in range(values.ndim) if i != axis)
        )

    @property
    def live_density(self) -> tf.Tensor:
        """The density now, whether learned or not; a scalar tensor."""
        return self._scores.live_density

    @property
    def min_density(self) -> float | None:
        """Least density that may be learned; `None` if it is not learned."""
        if self.built:
            return self._scores.min_density
        return self._initial_min_densities[0]

    @property
    def learns(self) -> str:
        """What trains of a learned density: "both", "scores" or "rates"."""
        return self._learns

    @learns.setter
    def learns(self, value: str) -> None:
        check_learns(value)
        self._learns = value
        self._apply_phase()

    def learn_density(self, min_density: float, density: float) -> None:
        """Makes the density trainable, for the whole group of the layer.

        Args:
            min_density: Float in [0, 1), the least density.
            density: Float in (0, 1], the density to start from.
        """
        if is_n_of_m(self._granularity):
            raise InputError(
                f"layer '{self.name}' keeps {self._granularity} weights: there "
                "is no density to learn"
            )
        if not self.prunable:
            raise InputError(
                f"layer '{self.name}' has no channels that can be removed: "
                "there is no density to learn"
            )
        self._scores.learn_density(min_density, density)

    def stop_learning_density(self, density: float) -> None:
        """Makes `density` the group's density, which trains no more."""
        self._scores.stop_learning_density(density)

    def expected_density(self, density: Any = None) -> tf.Tensor:
        """Returns the fraction of the kernel that the densities keep.

        Continuous, not rounded to counts, and differentiable in the rates.

        Args:
            density: Float in (0, 1] to take in place of every density that
                can be chosen.

        Returns:
            Float32 scalar tensor.
        """
        if is_n_of_m(self._granularity):
            n, m = n_of_m(self._granularity)
            return tf.constant(n / m, tf.float32)
        own = self._own_channels()
        if own is None:
            value = self.live_density if density is None else density
            return tf.cast(value, tf.float32)
        fraction = tf.ones([])
        for channels, scores in (
            (own, self._scores),
            (self._other_channels(), self._other_scores),
        ):
            if (
                channels is not None
                and scores is not None
                and channels.prunable
            ):
                value = scores.live_density if density is None else density
                fraction *= channels.fraction(tf.cast(value, tf.float32))
        return fraction

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
        chooses = trains and self._phase in (None, "prune")
        if self.prunable:
            self.scores.trainable = chooses and (
                self.rate is None or self._learns != "rates"
            )
            if self.rate is not None:
                self.rate.trainable = chooses and self._learns != "scores"
        else:
            self.scores.trainable = False
        self.kernel.trainable = trains and self._phase != "prune"
        if getattr(self, "bias", None) is not None:
            self.bias.trainable = self.kernel.trainable
        self.refresh_mask()

    def refresh_mask(self) -> None:
        """Derives the finetune phase's mask anew from scores and density."""
        if self._phase == "finetune" and hasattr(self, "_stored_mask"):
            self._stored_mask.store(self._live_mask() > 0)

    # --- mask and effective kernel -----------------------------------------

    def _live_mask(self) -> tf.Tensor:
        """The mask of scores and densities, of the kernel's shape."""
        if is_n_of_m(self._granularity):
            n, m = n_of_m(self._granularity)
            return n_of_m_mask(self.scores.value, n, m, self.input_axis)
        if self._granularity not in STRUCTURED:
            return self._scores.mask()
        mask = tf.ones(self.kernel.shape)
        inputs, outputs = self._input_mask(), self._output_mask()
        if inputs is not None:
            mask *= inputs
        if outputs is not None:
            mask *= outputs
        return mask

    def _side_mask(self, inputs: bool) -> tf.Tensor | None:
        """The mask of the channels on one side; `None` if all stay."""
        owns = inputs == self._owns_inputs()
        channels = self._own_channels() if owns else self._other_channels()
        scores = self._scores if owns else self._other_scores
        if channels is None or scores is None or not channels.prunable:
            return None
        return channels.spread(scores.mask())

    def _input_mask(self) -> tf.Tensor | None:
        mask = self._side_mask(inputs=True)
        return None if mask is None else self._along_inputs(mask)

    def _output_mask(self) -> tf.Tensor | None:
        mask = self._side_mask(inputs=False)
        return None if mask is None else self._along_outputs(mask)

    def _acting_mask(self) -> tf.Tensor | None:
        """What multiplies the kernel where the scores train.

        A channel is masked once, where it is read. To mask it where it is
        computed as well would change no output, but leave the scores of
        removed channels without a gradient.
        """
        if self._granularity in STRUCTURED and self._is_connected:
            return self._input_mask()
        return self._live_mask()

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
            return tf.ones(self.kernel.shape)
        if self._phase == "finetune":
            return tf.cast(self._stored_mask.value, tf.float32)
        return self._live_mask()

    @property
    def stored_mask(self) -> keras.Variable:
        """Bool variable with the mask of the finetune phase."""
        return self._stored_mask

    @property
    def effective_kernel(self) -> tf.Tensor:
        """`kernel * mask`, in the layer's compute dtype.

        (Of a network with masked channels, while scores train: with the mask
        of the channels that the layer reads.)
        """
        kernel = self.kernel.value
        if self._phase == "finetune":
            mask = self.mask
        else:
            mask = None if self._phase == "pretrain" else self._acting_mask()
        if mask is not None:
            # Multiplied at full precision: the scores' gradient needs it.
            kernel = kernel * tf.cast(mask, kernel.dtype)
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
        # Not the mask: it follows from these.
        sides = [("", self._scores)]
        if self._other_scores is not None:
            sides.append(("other_", self._other_scores))
        for prefix, scores in sides:
            variables[f"{prefix}scores"] = scores.values
            variables[f"{prefix}density"] = scores.density
            if scores.rate is not None:
                variables[f"{prefix}rate"] = scores.rate
        return variables

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
            "granularity": self._granularity,
            "input_channels": _config(self.input_channels),
            "output_channels": _config(self.output_channels),
            "min_density": self.min_density,
            "other_min_density": self._other_min_density(),
            "learns": self._learns,
        }

    def _other_min_density(self) -> float | None:
        if not self.built:
            return self._initial_min_densities[1]
        other = self._other_scores
        return None if other is None else other.min_density

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


def _config(channels: Channels | None) -> dict[str, Any] | None:
    return None if channels is None else channels.to_config()


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
