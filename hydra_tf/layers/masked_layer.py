"""What all masked layers share: scores, density, phase and effective kernel."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from hydra_tf.errors import InputError
from hydra_tf.layers import kernel_scope
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.scored_kernel import SCALED
from hydra_tf.layers.scored_kernel import ScoredKernel
from hydra_tf.phases import check_phase
from hydra_tf.registry.granularities import WEIGHT

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


class MaskedLayer(ScoredKernel):
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
        super().__init__(*args, **kwargs)
        if getattr(self, "lora_rank", None):
            raise InputError("a masked layer cannot have `lora_rank`")
        self._phase = phase
        self._init_scores(
            density=density,
            scores_initializer=scores_initializer,
            granularity=granularity,
            input_channels=input_channels,
            output_channels=output_channels,
            min_density=min_density,
            other_min_density=other_min_density,
            learns=learns,
        )

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
        # That switched all variables, other layers' scores among them.
        if hasattr(self, "_stored_mask"):
            for scores in self._mask.sides.values():
                for layer in scores.users:
                    layer._apply_phase()

    def _apply_phase(self) -> None:
        if not self.built and not hasattr(self, "_stored_mask"):
            return
        trains = bool(self._trainable)
        # Layers that share scores let them train together or not at all.
        owners = [each for each in self.scoring.users if self._shares(each)]
        chooses = self._may_train() and all(
            each._trainable and each._phase in (None, "prune")
            for each in owners
        )
        learns = {each._learns for each in owners}
        self.scores.trainable = chooses and (
            self.rate is None or "rates" not in learns
        )
        if self.rate is not None:
            self.rate.trainable = chooses and "scores" not in learns
        self.kernel.trainable = trains and self._phase != "prune"
        if getattr(self, "bias", None) is not None:
            self.bias.trainable = self.kernel.trainable
        self.refresh_mask()

    def _may_train(self) -> bool:
        """Whether there are scores to train.

        Those of layers that a model shares must not go separate ways: they
        wait for `hydra_tf.connect_channels`.
        """
        own = self.own_channels
        waits = own is not None and own.group is not None
        return self.prunable and (self.is_connected or not waits)

    def _shares(self, layer: Any) -> bool:
        """Whether the scores of this layer are another's own as well."""
        return layer.scoring is self.scoring

    def refresh_mask(self) -> None:
        """Derives the finetune phase's mask anew from scores and density."""
        if self._phase == "finetune" and hasattr(self, "_stored_mask"):
            self._stored_mask.store(self._mask.mask() > 0)

    # --- mask and effective kernel -----------------------------------------

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
        return self._mask.mask()

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
        return tf.cast(self.exact_kernel, self.compute_dtype)

    @property
    def exact_kernel(self) -> tf.Tensor:
        """The effective kernel in the precision of the weights."""
        kernel = self.kernel.value
        if self._phase == "finetune":
            mask = self.mask
        else:
            mask = (
                None if self._phase == "pretrain" else self._mask.acting_mask()
            )
        if mask is not None:
            # Multiplied at full precision: the scores' gradient needs it.
            kernel = kernel * tf.cast(mask, kernel.dtype)
        return tf.convert_to_tensor(kernel)

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
        self._stored_mask.store(self._mask.mask() > 0)

    def _stored_variables(self) -> dict[str, keras.Variable]:
        variables = {"kernel": self.kernel}
        if getattr(self, "bias", None) is not None:
            variables["bias"] = self.bias
        # Not the mask: it follows from these.
        for prefix, scores in self._mask.sides.items():
            variables[f"{prefix}scores"] = scores.values
            variables[f"{prefix}density"] = scores.density
            if scores.rate is not None:
                variables[f"{prefix}rate"] = scores.rate
        return variables

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),  # type: ignore[misc]
            **self._scores_config(),
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
