"""Data of one's own that cannot be used, or not so."""

from __future__ import annotations

import pathlib

import numpy as np

import hydra_tf as ht
from tests.data import drawn

_FUNCTIONS = "tests.data.own_functions"


def _folder(each=2, **settings):
    """Returns what loads pictures, after a function has changed them."""

    def mistake(change=lambda folder: None):
        def make(given):
            drawn.folder(given.folder, each=each)
            change(given.folder)
            return _load(f"folder:{given.folder}", **settings)

        return make

    return mistake


def _load(name, split="train", **settings):
    settings = {"batch_size": 1, "image_size": 8} | settings
    return ht.data.load(name, split, **settings)


def _empty(path):
    def change(folder):
        path_there = folder / path
        path_there.parent.mkdir(parents=True, exist_ok=True)
        path_there.write_bytes(b"")

    return change


def _text(path):
    return lambda folder: (folder / path).write_text("no picture")


def _no_pictures(folder):
    for path in (folder / "bar").glob("*.png"):
        path.write_text("no picture")


def _truncate(folder):
    for name in drawn.CLASSES:
        path = folder / name / "0.png"
        path.write_bytes(path.read_bytes()[:-30])


def _link_to_nothing(folder):
    (folder / "bar" / "z.png").symlink_to(folder / "nowhere.png")


def _without_train(folder):
    for name, other in (("bar", "val"), ("cross", "test"), ("square", "valid")):
        (folder / name).rename(folder / other)


def _unknown_class(folder):
    drawn.folder(folder / "train", each=2)
    drawn.folder(folder / "val", each=1)
    (folder / "val" / "bar").rename(folder / "val" / "circle")


def _nothing_to_test(folder):
    drawn.folder(folder / "train", each=2)
    (folder / "val").mkdir()


def _loose(folder):
    drawn.save(folder / "preview.png", drawn.picture("bar", 0))


def _one_class(folder):
    for path in (folder / "cross", folder / "square"):
        path.rename(folder / "bar" / path.name)


def _function(name, split="train", **settings):
    return lambda given: _load(
        f"{_FUNCTIONS}:{name}", split, **({"image_size": None} | settings)
    )


def _arrays(images=None, labels=None, **settings):
    def make(given):
        return ht.data.from_arrays(
            given.images if images is None else images(given),
            given.labels if labels is None else labels(given),
            **({"batch_size": 4} | settings),
        )

    return make


PYTHON = {
    "own_folder_missing": (
        lambda given: _load(f"folder:{given.folder}/nowhere"),
        ["`name` must be a folder", "nowhere does not exist"],
    ),
    "own_folder_without_path": (
        lambda given: _load("folder:"),
        ["the path does not exist"],
    ),
    "own_folder_is_a_file": (
        lambda given: (
            _text("a.txt")(given.folder),
            _load(f"folder:{given.folder}/a.txt"),
        ),  # fmt: skip
        ["a.txt is a file"],
    ),
    "own_folder_without_size": (
        _folder(image_size=None)(),
        ["`image_size` is required", "height x width"],
    ),
    "own_folder_without_classes": (
        lambda given: _load(f"folder:{given.folder}"),
        ["holds no folders", "two classes"],
    ),
    "own_folder_of_one_class": (
        _folder()(_one_class),
        ["only 'bar'", "two classes"],
    ),
    "own_folder_with_loose_pictures": (
        _folder()(_loose),
        ["preview.png lies beside"],
    ),
    "own_folder_with_an_empty_class": (
        _folder()(lambda folder: (folder / "none").mkdir()),
        ["none holds no pictures", ".png"],
    ),
    "own_folder_without_train": (
        _folder()(_without_train),
        ["but no train"],
    ),
    "own_folder_with_an_unknown_class": (
        _folder()(_unknown_class),
        ["the class 'circle', which train lacks"],
    ),
    "own_folder_with_nothing_to_test_on": (
        _folder()(_nothing_to_test),
        ["val holds no pictures"],
    ),
    "own_folder_too_small_to_hold_out": (
        _folder(each=1)(),
        ["`test_fraction` leaves no pictures"],
    ),
    "own_picture_empty": (_folder()(_empty("bar/x.jpg")), ["x.jpg is empty"]),
    "own_picture_truncated": (
        _folder()(_truncate),
        ["truncated or damaged", "0.png", "mend or remove"],
    ),
    "own_picture_that_is_text": (
        _folder(each=9)(_no_pictures),
        ["no JPEG, PNG, BMP or GIF", "bar/", ".png"],
    ),
    "own_picture_of_another_format": (
        _folder()(_text("bar/0.webp")),
        ["0.webp must be a JPEG, PNG, BMP or GIF"],
    ),
    "own_picture_behind_a_broken_link": (
        _folder()(_link_to_nothing),
        ["z.png", "No such file"],
    ),
    "own_split_unknown": (
        _folder(split="tset")(),
        ["`split`", "Did you mean 'test'"],
    ),
    "own_split_sliced": (_folder(split="train[:50%]")(), ["use `fraction`"]),
    "own_size_zero": (_folder(image_size=0)(), ["`image_size`", "from 1 to"]),
    "own_size_of_three": (
        _folder(image_size=(8, 8, 3))(),
        ["`image_size`", "height and width"],
    ),
    "own_channels_two": (
        _folder(image_channels=2)(),
        ["`image_channels` must be 1 (grey), 3"],
    ),
    "own_test_fraction_of_all": (
        _folder(test_fraction=1.0)(),
        ["`test_fraction` must be a number in (0, 0.5]"],
    ),
    "own_batch_beyond_the_data": (
        _folder(batch_size=99)(),
        ["`batch_size` must be at most", "batch_size=99"],
    ),
    "own_steps_beyond_the_epoch": (
        lambda given: ht.training.run_phase(
            given.network(),
            "pretrain",
            given.dataset(),
            given.objective(),
            epochs=1,
            steps_per_execution=4,
        ),
        ["`steps_per_execution`=4 must divide 3"],
    ),
    "own_data_dir_missing": (
        lambda given: _load("digits", data_dir=given.folder / "typo"),
        ["`data_dir` must be a folder that exists", "typo"],
    ),
    "own_path_without_folder": (
        lambda given: _load(str(given.folder)),
        ["Did you mean 'folder:"],
    ),
    "own_tfds_unknown": (
        lambda given: _load("tfds:cifar_10", data_dir=given.folder),
        ["TensorFlow Datasets", "Did you mean cifar10"],
    ),
    "own_tfds_version_unknown": (
        lambda given: _load("tfds:mnist:99.0.0", data_dir=given.folder),
        ["99.0.0", "tfds:NAME/CONFIG:VERSION"],
    ),
    "own_tfds_config_unknown": (
        lambda given: _load("tfds:mnist/small", data_dir=given.folder),
        ["mnist", "tfds:NAME/CONFIG:VERSION"],
    ),
    "own_function_of_no_module": (
        lambda given: _load("no_such_module:make", image_size=None),
        ["no_such_module", "cannot be imported"],
    ),
    "own_function_misspelt": (_function("bothe"), ["Did you mean 'both'"]),
    "own_function_that_is_none": (
        _function("NOT_CALLABLE"),
        ["must be a class or a function"],
    ),
    "own_function_that_raises": (
        _function("raises"),
        [":raises' raised KeyError: 'pictures'", "in raises:"],
    ),
    "own_function_without_result": (
        _function("none"),
        ["must return (train, test)", "NoneType"],
    ),
    "own_function_of_one_part": (
        _function("no_pair"),
        ["its train part", "Received: ndarray"],
    ),
    "own_function_of_bright_pixels": (
        _function("bright"),
        ["its train part", "divide pixels of 0..255 by 255"],
    ),
    "own_function_of_fractional_labels": (
        _function("fractional"),
        ["`labels` must hold class indices as integers", "float64"],
    ),
    "own_function_of_one_hot_labels": (_function("one_hot"), ["no one-hot"]),
    "own_function_of_other_classes": (
        _function("other_classes"),
        ["its test part", "from 0 to 2", "Received: 3"],
    ),
    "own_function_of_few_names": (
        _function("few_names"),
        ["its train part", "from 0 to 1", "Received: 2"],
    ),
    "own_function_of_two_shapes": (
        _function("other_shapes"),
        ["images of one shape", "(6, 5, 2)", "(5, 5, 2)"],
    ),
    "own_function_without_end": (_function("endless"), ["leave out `repeat`"]),
    "own_function_of_ragged_images": (_function("ragged"), ["one shape"]),
    "own_function_brought_to_a_size": (
        _function("both", image_size=32),
        ["`image_size` must be left out", "(6, 5)"],
    ),
    "own_function_split_unknown": (
        _function("both", split="val"),
        ["`split` must be 'train' or 'test'"],
    ),
    "own_register_without_name": (
        lambda given: ht.data.register(lambda: None),
        ["@register('shapes')"],
    ),
    "own_register_with_colon": (
        lambda given: ht.data.register("my:shapes"),
        ["without colon"],
    ),
    "own_labels_fractional": (
        _arrays(labels=lambda given: given.labels + 0.5),
        ["`labels` must hold class indices as integers", "float64"],
    ),
    "own_labels_beyond_the_classes": (
        _arrays(num_classes=2),
        ["from 0 to 1", "`num_classes` is 2"],
    ),
    "own_labels_negative": (
        _arrays(labels=lambda given: given.labels - 1),
        ["at least 0", "-1"],
    ),
    "own_pixels_not_a_number": (
        _arrays(images=lambda given: given.images * np.nan),
        ["must lie in [0, 1]", "nan"],
    ),
    "own_images_without_channels": (
        _arrays(images=lambda given: given.images[..., 0]),
        ["(num_examples, height, width, channels)"],
    ),
}


def _pictures(folder: pathlib.Path) -> None:
    drawn.folder(folder / "pictures", each=4)


def _damaged_pictures(folder: pathlib.Path) -> None:
    _pictures(folder)
    for path in (folder / "pictures").rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:-30])


_OWN = "--model=digits_model --dataset=folder:{folder}/pictures --fraction=1 "

COMMANDS = {
    "own_dataset_is_a_path": (
        "pretrain --model=digits_model --dataset={folder}/pictures",
        ["--dataset=", "Did you mean folder:"],
    ),
    "own_dataset_folder_missing": (
        f"pretrain {_OWN} --image_size=8",
        ["--dataset must be a folder", "pictures does not exist"],
    ),
    "own_dataset_without_size": (
        (_pictures, f"pretrain {_OWN}"),
        ["--image_size is required"],
    ),
    "own_dataset_of_a_wrong_size": (
        f"pretrain {_OWN} --image_size=8x8x3",
        ["--image_size=8x8x3", "48x64"],
    ),
    "own_dataset_of_a_damaged_picture": (
        (_damaged_pictures, f"pretrain {_OWN} --image_size=8 --batch_size=2"),
        ["truncated or damaged", ".jpg"],
    ),
    "own_dataset_too_small_for_the_network": (
        (_pictures, f"pretrain {_OWN} --image_size=2 --model=vgg16"),
        ["(2, 2, 3) is too small for vgg16"],
    ),
    "own_dataset_smaller_than_a_batch": (
        (_pictures, f"pretrain {_OWN} --image_size=8 --batch_size=64"),
        ["--batch_size must be at most 9"],
    ),
    "own_dataset_of_fewer_steps": (
        (
            _pictures,
            f"pretrain {_OWN} --image_size=8 --batch_size=3 "
            "--steps_per_execution=4",
        ),
        ["--steps_per_execution=4 must divide 3"],
    ),
    "own_dataset_function_that_raises": (
        f"pretrain --model=digits_model --dataset={_FUNCTIONS}:raises",
        [":raises' raised KeyError: 'pictures'", "in raises:"],
    ),
    "own_dataset_unknown_to_tfds": (
        "evaluate --source={folder} --dataset=tfds:cifar_10",
        ["Did you mean cifar10"],
    ),
    "own_dataset_unknown_to_certify": (
        "certify --source={folder} --dataset=digit --method=ibp "
        "--output_dir={folder}/run --epsilons=0.1",
        ["--dataset=digit", "'digits'"],
    ),
    "own_dataset_channels": (
        f"pretrain {_OWN} --image_size=8 --image_channels=2",
        ["--image_channels=2", "3 (colour)"],
    ),
    "own_dataset_test_fraction": (
        f"pretrain {_OWN} --image_size=8 --test_fraction=0.9",
        ["--test_fraction=0.9", "(0, 0.5]"],
    ),
    "own_dataset_data_dir_missing": (
        "pretrain --model=digits_model --data_dir={folder}/typo",
        ["--data_dir must be a folder that exists", "typo"],
    ),
}
