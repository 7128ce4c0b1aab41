"""The arguments of masked layers are checked and survive as plain data."""

import keras
import pytest

from hydra_tf import InputError
from hydra_tf.layers import Channels
from hydra_tf.layers.mask_settings import MaskSettings


@pytest.mark.parametrize(
    "settings",
    [
        MaskSettings(),
        MaskSettings(0.3, "he_normal", min_density=0.1, learns="rates"),
        MaskSettings(granularity="2:4"),
        MaskSettings(
            granularity="channel",
            input_channels=Channels(3),
            output_channels=Channels(2, (1, -1, 0)),
        ),
    ],
)
def test_as_plain_data(settings):
    again = MaskSettings(**settings.to_config())
    assert again.to_config() == settings.to_config()


def test_the_density_of_n_of_m_follows():
    assert MaskSettings(granularity="1:4").density == 0.25
    with pytest.raises(InputError, match="granularity 1:4 is 0.25. Received"):
        MaskSettings(0.5, granularity="1:4")


def test_initializers_are_looked_up():
    assert MaskSettings(scores_initializer=None).scores_initializer == "scaled"
    found = MaskSettings(scores_initializer="ones").scores_initializer
    assert isinstance(found, keras.initializers.Ones)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": 0.0}, r"`density` must be in \(0, 1\]"),
        ({"learns": "rate"}, "`learns` must .* Did you mean 'rates'"),
        ({"min_density": 1.0}, r"`min_density` must be in \[0, 1\)"),
        ({"other_min_density": -0.1}, r"`min_density` must be in \[0, 1\)"),
        ({"granularity": "channels"}, "`granularity` must be"),
        ({"input_channels": 3}, "must be a .*Channels"),
    ],
)
def test_wrong_arguments_are_clear_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        MaskSettings(**arguments)
