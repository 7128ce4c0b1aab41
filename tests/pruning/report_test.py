"""The report's figures, by hand."""

import json

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning.channels.groups import channel_groups
from tests.pruning import networks


def model_by_hand():
    return ht.to_masked(
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, strides=2, padding="same", name="a"),
                keras.layers.DepthwiseConv2D(3, name="b"),
                keras.layers.Conv2DTranspose(2, 2, strides=2, name="c"),
                keras.layers.Flatten(),
                keras.layers.Dense(10, name="d"),
            ]
        )
    )


def test_figures_by_hand():
    model = model_by_hand()
    ht.set_density(model, {"a": 0.5, "b": 0.25, "c": 1.0, "d": 0.1})
    report = ht.sparsity_report(model)
    figures = [
        (each.name, each.type, each.weights, each.kept, each.flops)
        for each in report.layers
    ]
    assert figures == [
        # 3 * 3 * 3 * 4 weights at 4 * 4 positions, two operations each
        ("a", "Conv2D", 108, 54, 2 * 108 * 16),
        # 3 * 3 * 4 weights at 2 * 2 positions
        ("b", "DepthwiseConv2D", 36, 9, 2 * 36 * 4),
        # 2 * 2 * 2 * 4 weights at every one of 2 * 2 inputs
        ("c", "Conv2DTranspose", 32, 32, 2 * 32 * 4),
        # 4 * 4 * 2 inputs
        ("d", "Dense", 320, 32, 2 * 320),
    ]
    assert [each.effective_flops for each in report.layers] == [
        2 * 54 * 16,
        2 * 9 * 4,
        2 * 32 * 4,
        2 * 32,
    ]
    assert [each.density for each in report.layers] == [0.5, 0.25, 1.0, 0.1]
    assert report.weights == 496
    assert report.kept == 127
    assert report.density == 127 / 496
    assert report.flops == 3456 + 288 + 256 + 640
    assert report.effective_flops == 1728 + 72 + 256 + 64


def test_dense_layer_on_sequences_counts_its_positions():
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((7, 4)),
                keras.layers.Conv1D(5, 3, padding="causal", name="a"),
                keras.layers.Dense(2, name="b"),
            ]
        )
    )
    assert [each.flops for each in ht.sparsity_report(model).layers] == [
        2 * 60 * 7,
        2 * 10 * 7,
    ]


def test_unknown_input_size_has_no_operations():
    model = ht.to_masked(
        keras.Sequential(
            [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)]
        )
    )
    report = ht.sparsity_report(model)
    assert report.layers[0].flops is None
    assert report.flops is None
    assert report.effective_flops is None
    assert report.weights == 108
    assert "-" in str(report).splitlines()[-1]


def test_pretrain_keeps_everything():
    model = model_by_hand()
    ht.set_density(model, 0.1)
    ht.set_phase(model, "pretrain")
    assert ht.sparsity_report(model).density == 1.0


def test_counts_what_is_left_after_stripping():
    model = ht.to_masked(networks.multi_branch(), density=0.13)
    stripped = ht.strip_masks(model)
    for each in ht.sparsity_report(model).layers:
        kernel = np.asarray(stripped.get_layer(each.name).kernel)
        assert np.count_nonzero(kernel) == each.kept
        assert type(stripped.get_layer(each.name)).__name__ == each.type


def test_plain_data_for_files():
    model = model_by_hand()
    report = ht.sparsity_report(model).to_dict()
    assert json.loads(json.dumps(report)) == report
    assert set(report) == {
        "density",
        "weights",
        "kept",
        "flops",
        "effective_flops",
        "layers",
    }
    assert report["layers"][3] == {
        "name": "d",
        "type": "Dense",
        "weights": 320,
        "kept": 320,
        "density": 1.0,
        "flops": 640,
        "effective_flops": 640,
        "units": None,
        "units_kept": None,
    }


def test_table_for_people():
    lines = str(ht.sparsity_report(model_by_hand())).splitlines()
    assert len(lines) == 7
    assert lines[0].split() == [
        "layer",
        "type",
        "weights",
        "kept",
        "density",
        "MFLOPs",
        "effective",
    ]
    assert lines[2].split()[:5] == ["a", "Conv2D", "108", "108", "1.0000"]
    assert lines[-1].split()[:4] == ["total", "496", "496", "1.0000"]


def joined(granularity):
    """Layers of which one reads all channels, another only some of them."""
    image = keras.Input((6, 6, 3))
    one = keras.layers.Conv2D(4, 1, name="one")(image)
    two = keras.layers.Conv2D(6, 1, name="two")(image)
    part = keras.layers.Conv2D(3, 1, name="part")(one)
    both = keras.layers.Concatenate()([one, two])
    both = keras.layers.Conv2D(3, 1, name="both")(both)
    x = keras.layers.Add()([part, both])
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(x))
    model = ht.to_masked(model, granularity=granularity, density=0.5)
    # Kept are channels 0, 1 and 2 of one, 5 and 9 (1 and 5 of two); and
    # channels 0 and 2 of part and both.
    scores = {10: [9, 8, 7, 0, 0, 6, 0, 0, 0, 5], 3: [2, 1, 3]}
    for group in channel_groups(model):
        group.leader.scores.assign(scores[group.num_units])
    return model


@pytest.mark.parametrize("granularity", ["channel", "filter"])
def test_channels_kept_by_hand(granularity):
    model = joined(granularity)
    report = ht.sparsity_report(model)
    assert {each.name: (each.weights, each.kept) for each in report.layers} == {
        "one": (12, 3 * 3),
        "two": (18, 3 * 2),
        "part": (12, 3 * 2),
        "both": (30, 5 * 2),
        "logits": (6, 2 * 2),
    }
    assert (report.weights, report.kept) == (78, 35)
    assert report.effective_flops == 2 * (36 * 31 + 4)
    # The units of the whole group, of which a layer may have a part.
    first, last = (5, 10), (2, 3)
    expected = (
        {"part": first, "both": first, "logits": last}
        if granularity == "channel"
        else {"one": first, "two": first, "part": last, "both": last}
    )
    for each in report.layers:
        assert (each.units_kept, each.units) == expected.get(
            each.name, (None, None)
        )
    lines = str(report).splitlines()
    assert lines[0].split()[-1] == "channels"
    assert sum("5/10" in line for line in lines) == 2
    ht.set_phase(model, "pretrain")
    report = ht.sparsity_report(model)
    assert report.density == 1.0
    for each in report.layers:
        assert each.units_kept == each.units


def test_model_without_masked_layers():
    with pytest.raises(InputError, match="nothing to prune"):
        ht.sparsity_report(networks.sequential())
