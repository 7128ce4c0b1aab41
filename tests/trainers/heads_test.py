"""Heads of attention, from training to a smaller SavedModel."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.pruning import networks
from tests.trainers import binaries


def network(input_shape, num_classes):
    """One block of a vision transformer, with two heads."""
    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 4, strides=4)(image)
    x = keras.layers.Reshape((4, 8))(x)
    y = keras.layers.LayerNormalization()(x)
    x = x + keras.layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    y = keras.layers.LayerNormalization()(x)
    y = keras.layers.Dense(16, activation="gelu")(y)
    x = x + keras.layers.Dense(8)(y)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(image, keras.layers.Dense(num_classes)(x))


@pytest.mark.slow
def test_heads_learn_how_many_stay_and_are_cut_out(tmp_path):
    (tmp_path / "tfds").mkdir()
    data_dir = f"--data_dir={tmp_path / 'tfds'}"
    folder, output = tmp_path / "run", tmp_path / "exported"
    own = f"--model={__name__}:network"
    code = binaries.run(
        "pipeline",
        *binaries.TINY,
        own,
        data_dir,
        "--method=harp",
        "--granularity=head",
        "--density=0.5",
        *(f"--{phase}_epochs=1" for phase in ("pretrain", "prune", "finetune")),
        f"--output_dir={folder}",
    )
    assert code == 0
    run = json.loads((folder / "metrics.json").read_text())
    rows = {row["name"]: row for row in run["sparsity"]["layers"]}
    units = rows["attention_output"]
    assert (units["units_kept"], units["units"]) == (1, 2)
    halves = {name for name, row in rows.items() if row["density"] == 0.5}
    assert halves == {"query", "key", "value", "attention_output"}
    assert len(rows) == 8
    card = (folder / "README.md").read_text()
    assert "0.5 of the heads (50.0 % removed)" in card
    code = binaries.run(
        "export",
        "--dataset=digits",
        data_dir,
        f"--source={folder}",
        f"--output_dir={output}",
        "--shrink",
    )
    assert code == 0
    smaller = keras.saving.load_model(output / "shrunk.keras", compile=False)
    assert smaller.get_layer("attention").num_heads == 1
    card = (output / "README.md").read_text()
    assert "Whole heads were removed" in card
    images = networks.images((3, 8, 8, 1))
    serve = tf.saved_model.load(str(output / "saved_model")).signatures[
        "serving_default"
    ]
    np.testing.assert_allclose(
        serve(images=tf.constant(images))["logits"], smaller(images), atol=1e-5
    )
