"""The inputs of a network, of which one is attacked."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.graph import is_graph
from hydra_tf.keras_internals import operation_of

# Where a batch that is a dictionary has the images, whatever the network calls
# its only input.
_IMAGES = ("image", "images", "x")


class OneInput:
    """A network of several inputs as a function of the one that is attacked.

    Attacks and objectives call it as they call any other network.

    Args:
        network: The network.
        all_inputs: Function from the images to all the inputs.
    """

    def __init__(
        self, network: keras.Model, all_inputs: Callable[[Any], Any]
    ) -> None:
        self.network = network
        self._all_inputs = all_inputs

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the logits of images, the other inputs as they are."""
        return self.network(self._all_inputs(x), training=training)


class NetworkInputs:
    """Finds in a batch what a network takes, and what of it is attacked.

    Args:
        network: Keras model.
        attacked: Name of the input that is attacked, of a network of several;
            those of a dictionary are its keys. `None` for a network of one.

    Raises:
        InputError: If the network has several inputs, and none of this name.
    """

    def __init__(
        self, network: keras.Model, attacked: str | None = None
    ) -> None:
        self._network = network
        self._structure: Any = None
        if is_graph(network) and network.built:
            # A Sequential has `inputs` alone.
            self._structure = getattr(network, "input", network.inputs[0])
        self._names = _names(self._structure)
        self._attacked = attacked
        if self._structure is None:
            return
        several = ", ".join(repr(name) for name in self._names)
        if attacked is None and len(self._names) > 1:
            raise InputError(
                f"`network` has {len(self._names)} inputs, {several}: name the "
                "one that holds the images to attack, "
                f"attacked_input={self._names[0]!r}"
            )
        if attacked is not None and attacked not in self._names:
            raise InputError(
                f"`attacked_input` must be an input of `network`, {several}. "
                f"Received: attacked_input={attacked!r}. "
                f"{close_matches(attacked, self._names)}"
            )
        if not keras.tree.is_nested(self._structure):
            self._attacked = None  # It has no other.

    @property
    def are_several(self) -> bool:
        """Whether a batch holds more for the network than images."""
        return self._attacked is not None

    @property
    def position(self) -> int | None:
        """Which of several inputs is attacked, `None` if that is not known."""
        if self._attacked is None or self._structure is None:
            return None
        return self._names.index(self._attacked)

    @property
    def image_shape(self) -> tuple[int | None, ...] | None:
        """Shape of one image, `None` if it is not known."""
        if self._attacked is None or self._structure is None:
            return inputs.image_shape_of(self._network)
        return tuple(self._tensor.shape[1:])

    @property
    def image_dtype(self) -> str:
        """Dtype that the network converts images to."""
        if self._structure is None:
            return "float32"
        return keras.backend.standardize_dtype(self._tensor.dtype)

    def select(self, x: Any) -> tuple[Any, dict[str, Any] | None]:
        """Returns the images of a batch, and the other inputs by name.

        Args:
            x: A tensor, or tensors in a list, a tuple or a dictionary, which
                may hold more than the network takes.

        Raises:
            InputError: If the network does not find its inputs there.
        """
        if not self.are_several:
            return self._only(x), None
        if isinstance(x, list | tuple) and len(x) == len(self._names):
            x = dict(zip(self._names, x, strict=True))
        if not isinstance(x, Mapping):
            raise InputError(
                "a batch must hold all inputs of `network`, as a dictionary "
                f"with the keys {_listed(self._names or [self._attacked])}. "
                f"Received: {type(x).__name__}"
            )
        names = self._names or list(x)
        for name in (*names, self._attacked):
            if name not in x:
                raise InputError(
                    f"a batch must hold {_listed(names)}, the inputs of "
                    f"`network`: {name!r} is missing. Received: {_listed(x)}"
                )
        others = {n: x[n] for n in names if n != self._attacked}
        return x[self._attacked], others

    def together(self, image: Any, others: dict[str, Any] | None) -> Any:
        """Returns the inputs of a network as it takes them.

        Args:
            image: What `select` returned.
            others: The same.
        """
        if others is None:
            return image
        given = others | {str(self._attacked): image}
        if isinstance(self._structure, list | tuple):
            return [given[name] for name in self._names]
        return given

    def attacked(self, others: dict[str, Any] | None) -> Any:
        """Returns the network as a function of the images alone.

        Args:
            others: Its other inputs, as `select` returned them.
        """
        if others is None:
            return self._network
        return OneInput(self._network, lambda x: self.together(x, others))

    @property
    def _tensor(self) -> keras.KerasTensor:
        """The symbolic tensor of the images."""
        tensors = keras.tree.flatten(self._structure)
        if self._attacked is None:
            return tensors[0]
        return dict(zip(self._names, tensors, strict=True))[self._attacked]

    def _only(self, x: Any) -> Any:
        """Returns the images of a batch for a network of one input."""
        if isinstance(x, list | tuple):
            if len(x) != 1:
                raise InputError(
                    f"a batch holds {len(x)} inputs, and `network` takes one"
                )
            return x[0]
        if not isinstance(x, Mapping):
            return x
        if len(x) == 1:
            return next(iter(x.values()))
        for name in (*self._names, *_IMAGES):
            if name in x:
                return x[name]
        raise InputError(
            "a batch that is a dictionary must hold the images as "
            f"{_listed(dict.fromkeys((*self._names, *_IMAGES)), 'or')}. "
            f"Received: {_listed(x)}"
        )


def _names(structure: Any) -> list[str]:
    """Returns the names of inputs, in their order."""
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        # As `keras.tree` and Keras order them.
        return sorted(structure)
    return [
        operation_of(tensor).name for tensor in keras.tree.flatten(structure)
    ]


def _listed(names: Any, link: str = "and") -> str:
    *rest, last = [repr(name) for name in names]
    return f"{', '.join(rest)} {link} {last}" if rest else last
