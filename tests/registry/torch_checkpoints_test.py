"""The settings of reading a checkpoint."""

import inspect

from hydra_tf import load_torch_checkpoint
from hydra_tf.registry.torch_checkpoints import SETTINGS


def test_settings_are_arguments_with_their_defaults():
    parameters = inspect.signature(load_torch_checkpoint).parameters
    for setting in SETTINGS:
        assert parameters[setting.name].default == setting.default
