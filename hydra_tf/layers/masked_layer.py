"""What all masked layers share: masks of their weights, and a phase."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.graph import package_of
from hydra_tf.keras_internals import own_trainable_variables
from hydra_tf.keras_internals import own_variables
from hydra_tf.keras_internals import set_autocast
from hydra_tf.layers import kernel_scope
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.mask_settings import SCALED
from hydra_tf.layers.mask_settings import MaskSettings
from hydra_tf.layers.mask_view import MaskView
from hydra_tf.layers.mask_view import WeightOfLayer
from hydra_tf.layers.maskable import axes_of_weights
from hydra_tf.layers.maskable import weights_of_class
from hydra_tf.layers.masked_attribute import MaskedAttribute
from hydra_tf.layers.masked_weight import MaskedWeight
from hydra_tf.layers.stored_weights import load_weights
from hydra_tf.layers.stored_weights import save_weights
from hydra_tf.ops.fake_quantization import fake_quantized_activations
from hydra_tf.phases import check_phase
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import is_n_of_m

# The arguments that every masked layer has beyond its plain class.
MASK_ARGUMENTS = (
    *(field.name for field in dataclasses.fields(MaskSettings)),
    "phase",
)


class MaskedLayer(MaskView):
    """Mix-in that masks weights of a Keras layer.

    A concrete layer derives from this class first, then from the Keras layer
    whose weights it masks, and says in `plain_class` which Keras layer it
    becomes when the masks are stripped. Within its `call`, which is that of
    the Keras layer, `layer.kernel` is `kernel * mask`; elsewhere it is the
    variable.

    A layer with several masked weights (a recurrent cell: `kernel` and
    `recurrent_kernel`) has scores, a density and a mask for each:
    `hydra_tf.masked_layers` and `layer.view_of(name)` give what a layer with
    one has itself.

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
    | head,       | one a head, or   | heads of attention, or hidden units    |
    | neuron      | hidden unit      | between dense layers, as channels are  |
    | N:M         | one a weight     | all but N of every M consecutive input |
    |             |                  | channels of each kernel position and   |
    |             |                  | output; the density is N / M           |

    In a network made by `hydra_tf.to_masked` with a granularity of channels,
    heads or neurons, layers whose channels only make sense together share their
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
        granularity: `"weight"`, `"channel"`, `"filter"`, `"head"`, `"neuron"`
            or `"N:M"`, for instance `"2:4"`.
        input_channels: `Channels` on the input side, from the network that
            the layer is part of; `None` for a layer on its own.
        output_channels: Likewise on the output side.
        min_density: Float in [0, 1), least density that the layer may learn;
            `None` if its density is not learned.
        other_min_density: That of the layers on the other side, whose scores
            this layer's mask depends on as well.
        learns: What trains of a learned density: `"both"` (rate and scores),
            `"scores"` or `"rates"`.
        masks: Of several masked weights: those arguments by the name of the
            weight, where they differ; others are left plain then.

    Attributes:
        kernel: Float variable, the layer's weights (outside of calls).
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

    # Whether the layers of a model that share its scores do so now.
    is_connected = False

    # Whether inputs and weights are those of an int8 network: see
    # `hydra_tf.layers.fake_quantized`.
    rounds_to_int8 = False

    # Names of the weights that are masked; none until built.
    _masked_names: tuple[str, ...] = ()

    # What the Keras layer brings.
    built: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "plain_class" in vars(cls):
            for name in weights_of_class(cls.plain_class) or ("kernel",):
                setattr(cls, name, MaskedAttribute(name, cls.plain_class))
            if issubclass(cls, keras.layers.Layer):
                cls.build = _building(cls.build)  # type: ignore[attr-defined]
        if "plain_class" in vars(cls) or "call" in vars(cls):
            call = getattr(cls, "call", None)
            cls.call = kernel_scope.computing(_rounding(call))  # type: ignore

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
        masks: Mapping[str, Mapping[str, Any]] | None = None,
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
        self.begin_masks(settings, masks, phase)

    def begin_masks(
        self,
        settings: MaskSettings,
        masks: Mapping[str, Mapping[str, Any]] | None,
        phase: str | None,
    ) -> None:
        """Takes up what `make_masks` needs, once the weights are there.

        Args:
            settings: Those of all weights.
            masks: See the class.
            phase: See the class.
        """
        self.unbuilt = settings
        self._settings = settings
        # Plain data, which neither Keras nor TensorFlow has to track.
        vars(self)["_masks"] = masks
        self._phase = phase

    # --- weights -----------------------------------------------------------

    @property
    def built_input_shape(self) -> tuple[int | None, ...] | None:
        """The shape that the layer was built with, if it was with one."""
        config = self.get_build_config() or {}  # type: ignore[attr-defined]
        shape = config.get("input_shape")
        return None if shape is None else tuple(shape)

    def make_masks(self) -> None:
        """Gives the weights, which are there now, their scores."""
        axes = axes_of_weights(self) or {
            "kernel": KernelAxes(self.kernel.shape)
        }
        several = len(axes) > 1
        settings = self.unbuilt or self._settings
        masks = vars(self)["_masks"]
        if masks is None:
            masks = dict.fromkeys(axes, {})
            if several and is_n_of_m(settings.granularity):
                # Their outputs read a single channel.
                masks = {name: {} for name in axes if not axes[name].depthwise}
        self._masked_names = tuple(masks)
        for name, given in masks.items():
            variable = variable_of(self, name)
            # Cast after the mask is applied: see `effective_kernel`.
            autocasts = vars(self).setdefault("_autocasts", {})
            autocasts[name] = set_autocast(variable, False)
            weight = MaskedWeight(
                variable,
                axes[name],
                MaskSettings(**{**settings.to_config(), **given}),
                layer_name=self.name,
                groups=getattr(self, "groups", 1),
                prefix=f"{name}_" if several else "",
            )
            setattr(self, f"_masked_{name}", weight)
            if name != "kernel" or several:
                vars(self)[f"_view_{name}"] = WeightOfLayer(self, name, weight)
        self.unbuilt = None
        self.apply_phase()

    # Layers may share scores, and a rate comes and goes: so the variables are
    # looked up and not tracked by Keras.

    @property
    def variables(self) -> list[keras.Variable]:
        return super().variables + self._mask_variables()  # type: ignore[misc]

    @property
    def weights(self) -> list[keras.Variable]:
        return super().weights + self._mask_variables()  # type: ignore[misc]

    def _mask_variables(self) -> list[keras.Variable]:
        return [
            variable
            for weight in self.masked_weights.values()
            for variable in weight.variables
        ]

    @property
    def masked_weights(self) -> dict[str, MaskedWeight]:
        """The masked weights by name, empty until the layer is built."""
        return {
            name: vars(self)[f"_masked_{name}"] for name in self._masked_names
        }

    @property
    def masked_kernel(self) -> MaskedWeight:
        """The kernel with its scores, which makes the mask.

        Of a layer with one masked weight, whatever its name is.
        """
        weights = self.masked_weights
        if not weights:
            raise AttributeError(
                "You must build the layer before accessing `mask`, its scores "
                "and what follows from them."
            )
        if len(weights) > 1:
            raise AttributeError(
                f"layer '{self.name}' has several masked weights: "
                f"layer.view_of('{next(iter(weights))}') has what belongs to "
                "one of them"
            )
        return next(iter(weights.values()))

    def view_of(self, name: str) -> Any:
        """Returns the mask of one weight, `None` if it is not masked.

        Args:
            name: Name of the weight, for instance `"recurrent_kernel"`.

        Returns:
            An object with `kernel` (the variable), `scores`, `density`,
            `mask`, `effective_kernel`.
        """
        if name not in self._masked_names:
            return None
        return vars(self).get(f"_view_{name}", self)

    def all_views(self) -> list[Any]:
        """Returns what `view_of` gives of all masked weights."""
        return [self.view_of(name) for name in self._masked_names]

    # --- phase -------------------------------------------------------------

    @property
    def phase(self) -> str | None:
        """`None`, `"pretrain"`, `"prune"` or `"finetune"`."""
        return self._phase

    @phase.setter
    def phase(self, value: str | None) -> None:
        check_phase(value)
        self._phase = value
        self.apply_phase()

    @property
    def trainable(self) -> bool:
        """Whether the layer trains at all; the phase says which weights."""
        return super().trainable  # type: ignore[misc]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)  # type: ignore[attr-defined]
        self.apply_phase()

    def apply_phase(self) -> None:
        """Lets what trains in the layer's phase train, and nothing else."""
        weights = self.masked_weights.values()
        if not weights:
            return
        for weight in weights:
            # Scores of layers that a model shares must not go separate ways:
            # they wait for `hydra_tf.connect_channels`.
            waits = weight.own.group is not None and not self.is_connected
            weight.scoring.let_train(
                weight,
                self.trainable
                and self._phase in (None, "prune")
                and weight.prunable
                and not waits,
            )
        for variable in own_trainable_variables(self):
            variable.trainable = self.trainable and self._phase != "prune"
        if self._phase == "finetune":
            for weight in weights:
                for scoring in weight.scorings:
                    scoring.follow()

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
        """What the plain layer has as well, in its order: kernel and bias.

        By name, but by number where a layer of someone else's may not have
        named them.
        """
        named = package_of(self.plain_class) == "keras"
        return {
            variable.name if named else str(index): variable
            for index, variable in enumerate(own_variables(self))
        }

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),  # type: ignore[misc]
            **(self.unbuilt or self._settings).to_config(),
            "phase": self._phase,
        }
        masks = vars(self)["_masks"]
        if len(weights_of_class(self.plain_class)) > 1:
            weights = self.masked_weights.items()
            masks = {n: w.settings.to_config() for n, w in weights} or masks
        elif self.masked_weights:
            config |= self.masked_kernel.settings.to_config()
        return config if masks is None else {**config, "masks": masks}

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise InputError(
            f"masked layer '{self.name}' does not support LoRA: strip the "
            "masks first (hydra_tf.strip_masks)"
        )

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        if not isinstance(self, MaskedLayer):
            # It was masked when Keras looked the method up.
            return type(self).quantize(self, *args, **kwargs)
        raise InputError(
            f"masked layer '{self.name}' cannot be quantised: strip the masks "
            "first (hydra_tf.strip_masks)"
        )


def variable_of(layer: Any, name: str) -> keras.Variable:
    """Returns a masked weight as the variable, within calls too."""
    return inspect.getattr_static(type(layer), name).variable_of(layer)


def _building(build: Any) -> Any:
    """Returns a layer's `build`, after which its weights are masked."""

    @functools.wraps(build)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        # It may have been stripped since Keras looked the method up.
        if isinstance(self, MaskedLayer) and not self.masked_weights:
            self.make_masks()

    return wrapper


def _rounding(call: Any) -> Any:
    """Returns a layer's `call`, which rounds its inputs where it has to."""

    def rounded(value: Any) -> Any:
        if not tf.is_tensor(value) or not value.dtype.is_floating:
            return value
        return fake_quantized_activations(value)

    parameters = list(inspect.signature(call).parameters) if call else []

    @functools.wraps(call)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.rounds_to_int8:
            if args:
                first = keras.tree.map_structure(rounded, args[0])
                args = (first, *args[1:])
            elif len(parameters) > 1 and parameters[1] in kwargs:
                first = kwargs[parameters[1]]
                kwargs[parameters[1]] = keras.tree.map_structure(rounded, first)
        return call(self, *args, **kwargs)

    return wrapper
