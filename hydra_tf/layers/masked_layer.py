"""What all masked layers share: scores, density, phase and effective kernel."""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from hydra_tf.errors import InputError
from hydra_tf.layers import kernel_scope
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.mask_settings import SCALED
from hydra_tf.layers.mask_settings import MaskSettings
from hydra_tf.layers.mask_settings import check_fixed_density
from hydra_tf.layers.masked_weight import ConstantMask
from hydra_tf.layers.masked_weight import MaskedWeight
from hydra_tf.layers.scores import Scoring
from hydra_tf.layers.stored_weights import load_weights
from hydra_tf.layers.stored_weights import save_weights
from hydra_tf.ops.counts import check_density
from hydra_tf.phases import check_phase
from hydra_tf.registry.granularities import WEIGHT

# The arguments that a masked layer has beyond its plain class.
MASK_ARGUMENTS = (
    *(field.name for field in dataclasses.fields(MaskSettings)),
    "phase",
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
        scores: Float variable, see above for its shape.
        density: Float scalar variable; `float(layer.density)` reads the number
            that was assigned, and how many are kept is exact whatever the
            layer's dtype.
        rate: Float scalar variable whose sigmoid is the learned density;
            `None` if it is not learned.
        masked_kernel: The kernel's `MaskedWeight`, which makes the mask.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3
    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3, learned densities and channels
    """

    plain_class: type[keras.layers.Layer]
    _masked_kernel: MaskedWeight | None = None

    # Whether the layers of a model that share its scores do so now.
    is_connected = False

    # What the Keras layer brings.
    activation: Any
    bias: Any
    built: bool
    compute_dtype: str
    data_format: str
    kernel: Any
    name: str
    rank: int
    use_bias: bool

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
        check_phase(phase)
        settings = MaskSettings(
            density=density,
            scores_initializer=scores_initializer,
            granularity=granularity,
            input_channels=input_channels,
            output_channels=output_channels,
            min_density=min_density,
            other_min_density=other_min_density,
            learns=learns,
        )
        super().__init__(*args, **kwargs)
        if getattr(self, "lora_rank", None):
            raise InputError("a masked layer cannot have `lora_rank`")
        self._settings = settings
        self._phase = phase
        self.built_input_shape: tuple[int | None, ...] | None = None

    # --- weights -----------------------------------------------------------

    @classmethod
    def kernel_axes(cls, shape: Any) -> KernelAxes:
        """Returns where the channels lie in a kernel of that shape."""
        return KernelAxes(tuple(shape))

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)  # type: ignore[misc]
        self.built_input_shape = tuple(input_shape)
        self._masked_kernel = MaskedWeight(
            self.kernel,
            self.kernel_axes(self.kernel.shape),
            self._settings,
            layer_name=self.name,
            groups=getattr(self, "groups", 1),
        )
        self._apply_phase()

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") == "kernel":
            # Cast after the mask is applied: see `effective_kernel`.
            kwargs["autocast"] = False
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    # Layers may share scores, and a rate comes and goes: so the variables are
    # looked up and not tracked by Keras.

    @property
    def variables(self) -> list[keras.Variable]:
        return super().variables + self._mask_variables()  # type: ignore[misc]

    @property
    def weights(self) -> list[keras.Variable]:
        return super().weights + self._mask_variables()  # type: ignore[misc]

    def _mask_variables(self) -> list[keras.Variable]:
        return (
            [] if self._masked_kernel is None else self._masked_kernel.variables
        )

    @property
    def masked_kernel(self) -> MaskedWeight:
        """The kernel with its scores, which makes the mask."""
        if self._masked_kernel is None:
            raise AttributeError(
                "You must build the layer before accessing `mask`, its scores "
                "and what follows from them."
            )
        return self._masked_kernel

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
        return super().trainable  # type: ignore[misc]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)  # type: ignore[attr-defined]
        self._apply_phase()

    def _apply_phase(self) -> None:
        if self._masked_kernel is None:
            return
        # Scores of layers that a model shares must not go separate ways: they
        # wait for `hydra_tf.connect_channels`.
        waits = (
            self.masked_kernel.own.group is not None and not self.is_connected
        )
        self.scoring.let_train(
            self,
            self.trainable
            and self._phase in (None, "prune")
            and self.prunable
            and not waits,
        )
        self.kernel.trainable = self.trainable and self._phase != "prune"
        if getattr(self, "bias", None) is not None:
            self.bias.trainable = self.kernel.trainable
        if self._phase == "finetune":
            for scoring in self._masked_kernel.scorings:
                scoring.follow()

    # --- mask and effective kernel -----------------------------------------

    @property
    def mask(self) -> tf.Tensor:
        """Float32 zeros and ones, of the kernel's shape.

        Differentiable with respect to the scores (straight-through) where
        the phase trains them.
        """
        return self.masked_kernel.mask(self._phase)

    @property
    def stored_mask(self) -> ConstantMask:
        """The mask of the finetune phase, a tensor where one is needed."""
        return ConstantMask(self.masked_kernel)

    @property
    def score_mask(self) -> tf.Tensor:
        """Which of the scores stay: float32 zeros and ones of their shape."""
        return self.scoring.mask()

    @property
    def effective_kernel(self) -> tf.Tensor:
        """`kernel * mask`, in the layer's compute dtype.

        (Of a network with masked channels, while scores train: with the mask
        of the channels that the layer reads.)
        """
        return tf.cast(self.exact_kernel, self.compute_dtype)

    @property
    def exact_kernel(self) -> tf.Tensor:
        """The effective kernel in the precision of the weights."""
        return self.masked_kernel.effective(self._phase)

    def kernel_for_call(self) -> tf.Tensor:
        """The effective kernel, or the one that a context shares."""
        kernel = kernel_scope.shared_kernel(self)
        return self.effective_kernel if kernel is None else kernel

    # --- scores and density ------------------------------------------------

    granularity = property(
        operator.attrgetter("_settings.granularity"),
        doc='`"weight"`, `"channel"`, `"filter"` or `"N:M"`.',
    )
    scoring = property(
        operator.attrgetter("masked_kernel.scoring"),
        doc="`Scoring`: scores, density and rate, which layers may share.",
    )
    scores = property(
        operator.attrgetter("scoring.values"),
        doc="Variable, of the kernel's dtype.",
    )
    num_units = property(
        operator.attrgetter("scoring.size"),
        doc="Number of scores that compete.",
    )
    live_density = property(
        operator.attrgetter("scoring.live_density"),
        doc="The density now, learned or not; a scalar tensor.",
    )
    expected_density = property(
        operator.attrgetter("masked_kernel.expected_density"),
        doc="See `MaskedWeight.expected_density`.",
    )
    unit_norms = property(
        operator.attrgetter("masked_kernel.unit_norms"),
        doc="See `MaskedWeight.unit_norms`.",
    )
    fan_in = property(
        operator.attrgetter("masked_kernel.axes.fan_in"),
        doc="Number of inputs that one output of the kernel reads.",
    )

    @property
    def rate(self) -> keras.Variable | None:
        """What a learned density is the sigmoid of; `None` if not learned."""
        return None if self._masked_kernel is None else self.scoring.rate

    @property
    def density(self) -> keras.Variable | float:
        """Fraction of entries kept: a weight (a float until built)."""
        if self._masked_kernel is None:
            return self._settings.density
        return self.scoring.density

    @density.setter
    def density(self, value: float) -> None:
        check_density(value)
        check_fixed_density(self.granularity, float(value))
        if self.rate is not None:
            raise InputError(
                f"layer '{self.name}' learns its density: "
                "stop_learning_density makes it a number that can be set"
            )
        if self._masked_kernel is None:
            self._settings = dataclasses.replace(self._settings, density=value)
        else:
            self.scoring.density.assign(float(value))

    @property
    def min_density(self) -> float | None:
        """Least density that may be learned; `None` if it is not learned."""
        if self._masked_kernel is None:
            return self._settings.min_density
        return self.scoring.min_density

    @property
    def learns(self) -> str:
        """What trains of a learned density: "both", "scores" or "rates"."""
        if self._masked_kernel is None:
            return self._settings.learns
        return self.scoring.learns

    @learns.setter
    def learns(self, value: str) -> None:
        self._settings = dataclasses.replace(self._settings, learns=value)
        if self._masked_kernel is not None:
            self.scoring.learns = value

    def learn_density(self, min_density: float, density: float) -> None:
        """Makes the density trainable, for the whole group of the layer.

        Args:
            min_density: Float in [0, 1), the least density.
            density: Float in (0, 1], the density to start from.
        """
        self.check_learnable()
        self.scoring.learn_density(min_density, density)

    def stop_learning_density(self, density: float) -> None:
        """Makes `density` the group's density, which trains no more."""
        self.check_learnable()
        self.scoring.stop_learning_density(density)

    def check_learnable(self) -> None:
        """Raises `InputError` unless the layer may learn its density."""
        if not self.masked_kernel.learnable:
            raise InputError(
                f"layer '{self.name}' has no density to learn: "
                + (
                    f"it keeps {self.granularity} weights"
                    if self.prunable
                    else "its channels cannot be removed"
                )
            )

    @property
    def prunable(self) -> bool:
        """Whether the layer has a density of its own to choose.

        Not if its channels cannot be removed.
        """
        return self._masked_kernel is None or self._masked_kernel.prunable

    # --- layers that share scores ------------------------------------------

    def connect(self) -> None:
        """Lets the scores train: the layers of its groups share them now."""
        if not self.is_connected:
            self.is_connected = True
            self._apply_phase()

    def share_scores(self, scoring: Scoring, *, other: bool = False) -> None:
        """Uses the scores, density and rate of another layer of its group.

        Args:
            scoring: The `scoring` of that layer.
            other: Whether they are for the channels on the other side of this
                layer than its own.
        """
        if other:
            self.masked_kernel.other_scoring = scoring
        else:
            self.masked_kernel.scoring = scoring
        self._apply_phase()

    def reset_scores(self) -> None:
        """Sets the scores to what the initializer makes of the kernel."""
        self.scores.assign(self.masked_kernel.initial_scores())

    # --- serialisation -----------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        if self.built:
            save_weights(self, store)

    def load_own_variables(self, store: Any) -> None:
        load_weights(self, store)

    def set_weights(self, weights: Any) -> None:
        if self.built and len(weights) == len(self.plain_variables):
            raise InputError(
                f"`weights` are those of a plain layer, '{self.name}' is "
                f"masked and has {len(self.weights)}: "
                "hydra_tf.set_plain_weights(layer, weights) sets them, and "
                f"scores from them. Received: {len(weights)} arrays"
            )
        super().set_weights(weights)  # type: ignore[misc]

    @property
    def plain_variables(self) -> dict[str, keras.Variable]:
        """What the plain layer has as well, in its order: kernel and bias."""
        variables = {"kernel": self.kernel}
        if getattr(self, "bias", None) is not None:
            variables["bias"] = self.bias
        return variables

    def get_config(self) -> dict[str, Any]:
        settings = self._settings
        if self._masked_kernel is not None:
            settings = self._masked_kernel.settings
        return {
            **super().get_config(),  # type: ignore[misc]
            **settings.to_config(),
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
