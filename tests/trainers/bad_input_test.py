"""A user's mistake: one line that says what would be right, no traceback."""

import json

import keras
import pytest

from tests.trainers import binaries


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder of networks that do not fit, and of files that are none."""
    folder = tmp_path_factory.mktemp("sources")

    def save(name, shape, classes):
        model = keras.Sequential(
            [
                keras.layers.Input(shape),
                keras.layers.Flatten(),
                keras.layers.Dense(classes),
            ]
        )
        model.save(folder / name)

    save("small.keras", (8, 8, 1), 10)
    save("classes.keras", (8, 8, 1), 7)
    save("shape.keras", (32, 32, 3), 10)
    whole = (folder / "small.keras").read_bytes()
    (folder / "truncated.keras").write_bytes(whole[: len(whole) // 2])
    (folder / "weights.h5").write_bytes(b"")
    (folder / "empty_run").mkdir()
    (folder / "tfds").mkdir()
    (folder / "wrong.json").write_text(json.dumps({"denze": 0.5}))
    (folder / "broken.json").write_text("{")
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, name="first"),
            keras.layers.Conv2D(6, 3, name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="last"),
        ]
    )
    model.save(folder / "channels.keras")
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            # 64 pixels, the largest of each 6 of them.
            keras.layers.Reshape((64, 1)),
            keras.layers.MaxPooling1D(6),
            keras.layers.Flatten(),
        ]
    )
    model.save(folder / "nothing.keras")
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.EinsumDense("ab,bc->ac", 10, name="einsum"),
        ]
    )
    model.save(folder / "einsum.keras")
    for activation in ("gelu", "softmax"):
        model = keras.Sequential(
            [
                keras.layers.Input((8, 8, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(10, activation=activation, name="odd_one"),
                *([keras.layers.Dense(10)] if activation == "gelu" else []),
            ]
        )
        model.save(folder / f"{activation}.keras")
    return folder


CASES = {
    "unknown_dataset": (
        "pipeline --dataset=cifar11",
        ["--dataset=cifar11", "cifar10"],
    ),
    "unknown_model": (
        "pretrain --model=vgg16bn",
        ["--model=vgg16bn", "'vgg16_bn'"],
    ),
    "model_of_a_missing_module": (
        "pretrain --model=no_such_module:make",
        ["no_such_module"],
    ),
    "no_model": ("pretrain", ["--model is required"]),
    "no_source": ("prune", ["--source is required"]),
    "no_source_to_evaluate": ("evaluate", ["--source is required"]),
    "missing_source": ("prune --source={s}/nowhere", ["does not exist"]),
    "run_without_a_network": (
        "finetune --source={s}/empty_run",
        ["holds no finished phase"],
    ),
    "other_file": ("prune --source={s}/weights.h5", ["no .keras file"]),
    "truncated": (
        "prune --source={s}/truncated.keras",
        ["truncated.keras", "cannot be read as a Keras model"],
    ),
    "other_classes": (
        "prune --source={s}/classes.keras",
        ["outputs of shape (7,)", "10 classes"],
    ),
    "other_images": (
        "prune --source={s}/shape.keras",
        ["(32, 32, 3)", "(8, 8, 1)"],
    ),
    "other_architecture": (
        "prune --source={s}/small.keras --model=digits_model",
        ["another architecture than --model=digits_model"],
    ),
    "finetune_without_masks": (
        "finetune --source={s}/small.keras",
        ["without masks"],
    ),
    "nothing_to_prune": (
        "prune --source={s}/nothing.keras",
        ["has nothing to prune"],
    ),
    "layer_that_cannot_be_masked": (
        "prune --source={s}/einsum.keras",
        ["'einsum' (EinsumDense)"],
    ),
    "allocation_of_another_network": (
        "prune --source={s}/small.keras --allocation={s}/wrong.json",
        ["--allocation=", "denze"],
    ),
    "allocation_that_is_no_json": (
        "prune --source={s}/small.keras --allocation={s}/broken.json",
        ["broken.json cannot be read as JSON"],
    ),
    "missing_allocation": (
        "prune --source={s}/small.keras --allocation={s}/none.json",
        ["none.json does not exist"],
    ),
    # Before hours of training, not after them.
    "nothing_to_prune_later": (
        "pipeline --source={s}/nothing.keras",
        ["has nothing to prune"],
    ),
    "allocation_of_another_network_for_later": (
        "pipeline --model=digits_model --allocation={s}/wrong.json",
        ["--allocation=", "wrong.json", "denze"],
    ),
    "rates_of_another_network": (
        "pipeline --model=digits_model --method=harp --rates={s}/wrong.json",
        ["--rates=", "wrong.json", "denze"],
    ),
    "rates_of_another_network_compared_with": (
        "pipeline --model=digits_model --method=lwm --compare=harp "
        "--rates={s}/wrong.json",
        ["--rates=", "wrong.json", "denze"],
    ),
    "rates_that_are_no_json": (
        "prune --source={s}/small.keras --method=harp --rates={s}/broken.json",
        ["broken.json cannot be read as JSON"],
    ),
    "channels_of_which_none_would_be_left": (
        "pipeline --source={s}/channels.keras --granularity=channel "
        "--density=0.1",
        ["'second'", "0.1", "would remove"],
    ),
    "channels_that_cannot_be_cut_into_blocks": (
        "pipeline --source={s}/channels.keras --granularity=2:4",
        ["'second' has 6", "blocks of 4", "2:4"],
    ),
    "mixed_flags": (
        "pipeline --model=digits_model --rates=erk",
        ["--rates=erk", "--method=harp"],
    ),
    "warm_up_longer_than_the_phase": (
        "pretrain --model=digits_model --epochs=2 --warmup_epochs=2",
        ["--warmup_epochs=2 must be less than the 2 epochs"],
    ),
    "warm_up_longer_than_a_later_phase": (
        "pipeline --model=digits_model --pretrain_epochs=3 --prune_epochs=2 "
        "--warmup_epochs=2",
        ["--warmup_epochs=2 must be less than the 2 epochs of the prune phase"],
    ),
    "no_bounds_to_train_on": (
        "pretrain --source={s}/gelu.keras --objective=crown_ibp --epsilon=0.01",
        ["gelu.keras does not fit --", "--objective=crown_ibp", "'odd_one'"],
    ),
    # Before hours of training, not after them.
    "no_bounds_to_certify_by": (
        "pipeline --source={s}/gelu.keras --eval_certify=ibp",
        ["gelu.keras does not fit --", "--eval_certify=ibp", "'odd_one'"],
    ),
    "no_bounds_to_evaluate": (
        "evaluate --source={s}/gelu.keras --eval_certify=ibp",
        ["gelu.keras does not fit --", "--eval_certify=ibp", "'odd_one'"],
    ),
    "softmax": (
        "pretrain --source={s}/softmax.keras --objective=ibp --epsilon=0.01",
        ["softmax.keras ends in a softmax, layer 'odd_one'"],
    ),
    "ramp_longer_than_the_phase": (
        "pretrain --model=digits_model --epochs=2 --objective=ibp "
        "--schedule_length=3",
        ["--schedule_length=3", "the 2 epochs of the pretrain phase"],
    ),
    "no_output_folder": ("pretrain --output_dir=", ["--output_dir"]),
    "attack_of_the_other_norm": (
        "evaluate --eval_attacks=cleverhans_cw_l2",
        ["--threat_model=l2"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_mistake_is_one_line(case, sources, tmp_path, capfd):
    command, words = CASES[case]
    name, *arguments = command.format(s=sources).split()
    code = binaries.run(
        name,
        "--dataset=digits",
        "--fraction=0.1",
        "--eval_examples=10",
        f"--data_dir={sources / 'tfds'}",
        f"--output_dir={tmp_path / 'run'}",
        *arguments,
    )
    err = capfd.readouterr().err
    assert code == 2, err
    assert err.startswith(f"{name}: error: ")
    assert all(word in err for word in words), err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
