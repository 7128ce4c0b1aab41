"""set_density gives layers their density, all of them or none."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import InputError
from tests.pruning import networks


@pytest.fixture
def model():
    return ht.to_masked(networks.sequential(), density=0.5)


def densities(model):
    return {
        name: float(layer.density)
        for name, layer in ht.masked_layers(model).items()
    }


def test_one_number_for_every_layer(model):
    ht.set_density(model, 0.1)
    assert densities(model) == {"conv": 0.1, "up": 0.1, "logits": 0.1}


def test_mapping_leaves_the_others(model):
    ht.set_density(model, {"up": 0.25, "logits": 1})
    assert densities(model) == {"conv": 0.5, "up": 0.25, "logits": 1.0}


def test_masks_follow_in_every_phase(model):
    for phase in ("prune", "finetune"):
        ht.set_phase(model, phase)
        for density in (0.2, 0.7):
            ht.set_density(model, density)
            for layer in ht.masked_layers(model).values():
                assert np.sum(layer.mask) == ht.kept_count(
                    density, layer.mask.shape.num_elements()
                )


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.0, "`density` must be in"),
        ("half", "`density` must be in"),
        (None, "`density` must be in"),
        ({"conv": 0.1, "logit": 0.1}, "no masked layer.*Did you mean 'logits'"),
        ({"conv": 0.1, "logits": 1.5}, r"density\['logits'\]"),
        ({"conv": 0.1, "logits": None}, r"density\['logits'\]"),
    ],
)
def test_nothing_changes_on_an_error(model, density, message):
    before = densities(model)
    with pytest.raises(InputError, match=message):
        ht.set_density(model, density)
    assert densities(model) == before


def test_survives_a_file(model, tmp_path):
    ht.set_density(model, {"conv": 0.1, "logits": 1 / 3})
    expected = densities(model)
    model.save(str(tmp_path / "model.keras"))
    assert (
        densities(keras.models.load_model(str(tmp_path / "model.keras")))
        == expected
    )


def test_model_without_masked_layers():
    with pytest.raises(InputError, match="nothing to prune"):
        ht.set_density(networks.sequential(), 0.5)


def residual():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(image)
    y = keras.layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, y]))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    return ht.to_masked(model, granularity="channel")


def test_layers_that_share_channels_have_one_density(tmp_path):
    model = residual()
    model.save(str(tmp_path / "model.keras"))
    loaded = keras.models.load_model(str(tmp_path / "model.keras"))
    for each in (model, loaded):
        for density in ({"conv": 0.25}, {"conv": 0.5, "logits": 0.5}, 0.75):
            ht.set_density(each, density)
            value = 0.75 if density == 0.75 else density["conv"]
            assert densities(each) == {
                "stem": 1.0,
                "conv": value,
                "logits": value,
            }
        with pytest.raises(
            InputError, match="'conv' the density 0.5 and 'logits' 0.25"
        ):
            ht.set_density(each, {"conv": 0.5, "logits": 0.25})
        assert densities(each)["conv"] == 0.75


def test_layers_whose_channels_stay_have_none():
    with pytest.raises(
        InputError, match="'stem', whose channels cannot be removed"
    ):
        ht.set_density(residual(), {"stem": 0.5})


@pytest.mark.parametrize("density", [0.5, {"conv": 0.5}])
def test_a_learned_density_has_to_be_settled_first(model, density):
    ht.learn_densities(model, 0.3)
    with pytest.raises(InputError, match="'conv' learns its density: .*settle"):
        ht.set_density(model, density)
    assert densities(model)["conv"] == 0.5
    with pytest.raises(InputError, match="'conv' learns its density"):
        model.get_layer("conv").density = 0.2
    ht.settle_densities(model, 0.3)
    ht.set_density(model, density)
    assert densities(model)["conv"] == 0.5
