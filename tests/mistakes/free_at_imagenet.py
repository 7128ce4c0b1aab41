"""Free-AT, normalisation, and batches that others make or share."""

from __future__ import annotations

import keras

import hydra_tf as ht
from tests.data import drawn

_PRETRAIN = "pretrain --model=digits_model --pretrain_epochs=1 "
_FREE = _PRETRAIN + "--objective=free_at "


def _free(**settings):
    return lambda given: ht.objectives.FreeAT(**settings)


def _any_size(given):
    images = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    network = keras.Model(images, keras.layers.Dense(3)(pooled))
    return ht.RobustModel(network, ht.objectives.FreeAT(epsilon=0.1))


def _warm_start(given):
    return ht.training.run_phase(
        given.network(),
        "pretrain",
        (given.images, given.labels),
        ht.objectives.FreeAT(epsilon=0.1),
        epochs=1,
        warm_start=True,
    )


def _pipeline(given):
    return ht.data.from_arrays(given.images, given.labels, batch_size=4)


def _imagenet(given):
    """Test pictures that lie side by side, as ImageNet's archive has them."""
    for number in range(4):
        pixels = drawn.picture("bar", number)
        name = f"{number}.JPEG"
        folder = given.folder / "train" / f"n{number % 2:08d}"
        drawn.save(folder / name, pixels, format="JPEG")
        drawn.save(given.folder / "val" / name, pixels, format="JPEG")
    return ht.data.load(f"folder:{given.folder}", "test", batch_size=1)


PYTHON = {
    "free_at_without_repeats": (
        _free(n_repeats=0),
        ["`n_repeats` must be", ">= 1", "n_repeats=0"],
    ),
    "free_at_repeats_that_are_no_number": (
        _free(n_repeats=2.5),
        ["`n_repeats` must be a whole number", "2.5"],
    ),
    "free_at_radius_of_pixels": (
        _free(epsilon=4),
        ["`epsilon` must be", "[0, 1]"],
    ),
    "free_at_step_backwards": (
        _free(step_size=-0.1),
        ["`step_size` must be", "-0.1"],
    ),
    "free_at_on_images_of_any_size": (
        _any_size,
        ["FreeAT", "images of one size"],
    ),
    "free_at_warm_start": (
        _warm_start,
        ["`warm_start` needs an objective whose attack has a start"],
    ),
    "free_at_num_steps_of_pgd": (
        lambda given: ht.objectives.create("free_at", num_steps=7),
        ["free_at", "num_steps", "n_repeats"],
    ),
    "normalize_with_one_number_for_all": (
        lambda given: ht.models.normalized(
            ht.models.create("vgg2", (8, 8, 3), 10), [0.5], [0.2]
        ),
        ["`mean` must hold a number for each of the 3 channels"],
    ),
    "shard_without_a_count": (
        lambda given: _pipeline(given).dataset(shard=1),
        ["`shard` must be", "(0, 2)"],
    ),
    "shard_counted_from_one": (
        lambda given: _pipeline(given).dataset(shard=(2, 2)),
        ["`shard` must be", "from 0"],
    ),
    "data_service_without_a_protocol": (
        lambda given: _pipeline(given).served_by("localhost:5000"),
        ["`data_service` must be", "grpc://host:port"],
    ),
    "imagenet_without_folders_to_test": (
        _imagenet,
        ["holds no pictures", "val"],
    ),
}

COMMANDS = {
    "free_at_flag_without_repeats": (
        _FREE + "--n_repeats=0",
        ["--n_repeats=0", ">= 1"],
    ),
    "free_at_by_another_name": (
        _PRETRAIN + "--objective=freeat",
        ["--objective=freeat", "Did you mean 'free_at'"],
    ),
    "free_at_flag_radius_of_pixels": (
        _FREE + "--epsilon=4",
        ["--epsilon=4", "4/255"],
    ),
    "free_at_flag_warm_start": (
        _FREE + "--warm_start",
        ["--warm_start needs an objective whose attack has a start"],
    ),
    "free_at_flag_ramp": (
        _FREE + "--num_steps_ramp=0.5",
        ["--num_steps_ramp=0.5", "madry, trades or mart"],
    ),
    "normalize_unknown": (
        _FREE + "--normalize",
        ["--normalize", "digits are not known", "imagenet2012"],
    ),
    "data_service_flag_without_a_protocol": (
        _FREE + "--data_service=localhost:5000",
        ["--data_service must be", "grpc://host:port"],
    ),
    "data_service_that_nobody_runs": (
        _FREE + "--data_service=grpc://127.0.0.1:1",
        ["--data_service", "no answer from grpc://127.0.0.1:1"],
    ),
}
