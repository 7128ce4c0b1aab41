"""The table of score initialisations."""

import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.registry.scores import SCORES
from tests.pruning import networks


@pytest.mark.parametrize("entry", SCORES, ids=SCORES.names)
def test_row_says_whether_a_batch_is_needed(entry):
    assert callable(entry.load()) and entry.help
    network = ht.to_masked(networks.sequential())
    if entry.needs_data:
        with pytest.raises(InputError, match="data"):
            ht.init_scores(network, entry.name)
    else:
        ht.init_scores(network, entry.name)
