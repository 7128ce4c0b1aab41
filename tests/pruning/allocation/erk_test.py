"""The Erdos-Renyi-Kernel allocation is that of the papers."""

import math
import re

import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.pruning import allocation
from tests import golden
from tests.pruning.networks import dense_chain
from tests.pruning.networks import sizes

STRATEGIES = golden.load("strategies")
ARCHITECTURES = ("vgg16_bn", "resnet18")


def golden_shapes(name):
    """Kernel shapes; dense ones are stored as (1, 1, in, out)."""
    return [
        tuple(int(size) for size in (shape[2:] if is_dense else shape))
        for shape, is_dense in zip(
            STRATEGIES[f"{name}_json_shapes"],
            STRATEGIES[f"{name}_json_is_dense"],
            strict=True,
        )
    ]


class TestErkGolden:
    @pytest.mark.parametrize("name", ARCHITECTURES)
    def test_formula(self, name):
        densities = allocation.erk_densities(golden_shapes(name), 0.1)
        np.testing.assert_allclose(
            densities, STRATEGIES[f"{name}_erk_formula"], rtol=1e-10
        )
        kept = [
            round(density * math.prod(shape))
            for density, shape in zip(
                densities, golden_shapes(name), strict=True
            )
        ]
        np.testing.assert_array_equal(kept, STRATEGIES[f"{name}_erk_kept"])

    @pytest.mark.parametrize("name", ARCHITECTURES)
    @pytest.mark.parametrize("index", [0, 1])
    def test_formula_at_other_densities(self, name, index):
        np.testing.assert_allclose(
            allocation.erk_densities(
                golden_shapes(name),
                float(STRATEGIES["extra_densities"][index]),
            ),
            STRATEGIES[f"extra_{name}_erk"][index],
            rtol=1e-10,
        )


def unit_name(original):
    """The name here of a layer that the golden file calls `original`."""
    if original == "linear":
        return "logits"
    match = re.match(r"layer(\d)\.(\d)\.(conv\d|shortcut)", original)
    if match is None:
        return original
    block, unit, layer = match.groups()
    return f"block{block}_unit{int(unit) + 1}_{layer}"


class TestErkOfModels:
    """The published figures, 10 % of VGG16-BN and ResNet18."""

    def test_vgg16_bn(self):
        model = ht.to_masked(ht.models.create("vgg16_bn", (32, 32, 3), 10))
        densities = allocation.erk(model, 0.1)
        # Both name their layers in the order of the network.
        assert list(densities) == list(ht.masked_layers(model))
        np.testing.assert_allclose(
            list(densities.values()), STRATEGIES["vgg16_bn_erk"], atol=1e-6
        )
        self.check_total(model, densities)

    def test_resnet18(self):
        model = ht.to_masked(ht.models.create("resnet18", (32, 32, 3), 10))
        densities = allocation.erk(model, 0.1)
        # There shortcuts come before their block's convolutions.
        names = [unit_name(each) for each in STRATEGIES["resnet18_json_names"]]
        assert set(names) == set(densities)
        np.testing.assert_allclose(
            [densities[name] for name in names],
            STRATEGIES["resnet18_erk"],
            atol=1e-6,
        )
        self.check_total(model, densities)

    def check_total(self, model, densities):
        counts = [
            ht.kept_count(densities[name], size)
            for name, size in sizes(model).items()
        ]
        total = sum(sizes(model).values())
        assert sum(counts) == ht.kept_count(0.1, total)


class TestErk:
    def test_by_hand(self):
        # Sums of dimensions 4 + 2 = 6 and 2 + 6 = 8, sizes 8 and 12. Ten
        # weights of 20: c (6 + 8) = 10, so 4.29 and 5.71, in whole 4 and 6.
        assert allocation.erk(dense_chain([4, 2, 6]), 0.5) == {
            "layer0": 4 / 8,
            "layer1": 6 / 12,
        }

    def test_layers_that_would_exceed_one_are_dense(self):
        # Sums 12 and 3 of sizes 20 and 2; 12 weights: c = 12 / 15, of which
        # the second would keep 2.4 of 2. So 2, and 10 of 20.
        assert allocation.erk(dense_chain([10, 2, 1]), 12 / 22) == {
            "layer0": 0.5,
            "layer1": 1.0,
        }

    def test_density_one_is_dense(self):
        assert set(allocation.erk(dense_chain([4, 3, 5, 2]), 1.0).values()) == {
            1.0
        }
