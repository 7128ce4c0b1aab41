"""One threshold for the weights of all layers."""

import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning import allocation
from tests.pruning.networks import dense_chain
from tests.pruning.networks import kept_counts


class TestGlobalThreshold:
    @pytest.mark.parametrize("by", ["magnitude", "scores"])
    @pytest.mark.parametrize("density", [0.9, 0.31, 0.1])
    def test_keeps_what_one_threshold_keeps(self, by, density):
        model = dense_chain([20, 15, 10], scales=[1.0, 0.7])
        layers = ht.masked_layers(model)
        if by == "scores":
            for layer, scale in zip(layers.values(), (0.6, 1.0), strict=True):
                layer.scores.assign(scale * np.asarray(layer.scores)[::-1])
        values = [
            np.abs(
                np.asarray(layer.kernel if by == "magnitude" else layer.scores)
            )
            for layer in layers.values()
        ]
        everything = np.sort(np.concatenate([v.ravel() for v in values]))
        threshold = everything[-ht.kept_count(density, everything.size)]
        densities = allocation.global_threshold(model, density, by=by)
        counts = kept_counts(model, densities)
        for (name, layer), value in zip(layers.items(), values, strict=True):
            assert counts[name] == np.sum(value >= threshold)
            # Scaled scores order the weights as their magnitudes do.
            np.testing.assert_array_equal(layer.mask, value >= threshold)

    def test_starved_layer_keeps_one_weight(self):
        model = dense_chain([10, 10, 10], scales=[1.0, 1e-6])
        assert kept_counts(model, allocation.global_threshold(model, 0.1)) == {
            "layer0": 19,
            "layer1": 1,
        }

    def test_ties_go_to_the_earlier_layer(self):
        model = dense_chain([4, 4, 4])
        for layer in ht.masked_layers(model).values():
            layer.kernel.assign(np.ones((4, 4)))
        assert allocation.global_threshold(model, 0.75) == {
            "layer0": 1.0,
            "layer1": 0.5,
        }

    def test_unknown_criterion(self):
        with pytest.raises(InputError, match="'magnitude' or 'scores'"):
            allocation.global_threshold(dense_chain([3, 3]), 0.5, by="size")
