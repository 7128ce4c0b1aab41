"""The networks by name."""

import pytest

from hydra_tf.registry.models import MODELS


@pytest.mark.parametrize("entry", MODELS, ids=MODELS.names)
def test_every_row_is_a_function_of_that_name(entry):
    function = entry.load()
    assert function.__name__ == entry.name
    assert entry.help
    assert function.__doc__.startswith(entry.help)
