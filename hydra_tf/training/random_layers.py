"""Random layers of a network, such as dropout: their numbers follow a seed.

Keras leaves the states of random generators out of its files. A phase that
starts from a file would draw other numbers than one that goes on in memory.
Layers that draw without a generator of their own are not reached.
"""

from __future__ import annotations

import keras
import numpy as np

from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import generator_states


def seed_random_layers(network: keras.Model, seed: int, phase: str) -> None:
    """Starts the random generators of all layers anew.

    Each gets numbers of its own, also layers that were made with one seed.

    Args:
        network: The network, which is changed.
        seed: Integer >= 0.
        phase: Name of the phase that is about to begin: phases of one seed
            draw different numbers.
    """
    states = {
        id(state): state
        for layer in flatten_layers(network)
        for state in generator_states(layer)
    }
    words = np.random.SeedSequence([seed, *phase.encode()])
    # Keras counts calls in the second number.
    for state, word in zip(
        states.values(), words.generate_state(len(states)), strict=True
    ):
        state.assign([int(word) & 0x7FFFFFFF, 0])
