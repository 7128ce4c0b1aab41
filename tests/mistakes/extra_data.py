"""Mistakes with extra, pseudo-labelled images."""

import numpy as np

from hydra_tf import data


def _train(given):
    return data.from_arrays(
        given.images, given.labels, batch_size=4, num_classes=3
    )


def _file(given, **arrays):
    path = given.folder / "extra.npz"
    np.savez(path, **arrays)
    return data.with_extra(_train(given), path)


def _text(given):
    path = given.folder / "extra.npz"
    path.write_text("images")
    return data.with_extra(_train(given), path)


def _one_array(given):
    path = given.folder / "extra.npz"
    with path.open("wb") as file:
        np.save(file, _images(9, 4, 4, 1))
    return data.with_extra(_train(given), path)


def _folder(given):
    (given.folder / "extra.npz").mkdir()
    return data.with_extra(_train(given), given.folder / "extra.npz")


def _images(*shape):
    return np.zeros(shape, np.uint8)


PYTHON = {
    "extra_images_of_another_shape": (
        lambda given: _file(given, images=_images(9, 5, 4, 1), labels=[0] * 9),
        ["`extra_data`=", "extra.npz", "(4, 4, 1)", "(5, 4, 1)"],
    ),
    "extra_images_without_channels": (
        lambda given: _file(given, images=_images(9, 4, 4), labels=[0] * 9),
        ["`extra_data`=", "height, width, channels", "(9, 4, 4)"],
    ),
    "fewer_extra_labels_than_images": (
        lambda given: _file(given, images=_images(9, 4, 4, 1), labels=[0] * 8),
        ["`extra_data`=", "one integer per image", "(8,)"],
    ),
    "extra_labels_out_of_range": (
        lambda given: _file(given, images=_images(9, 4, 4, 1), labels=[3] * 9),
        ["`extra_data`=", "from 0 to 2", "3"],
    ),
    "extra_pixels_of_0_to_255_as_floats": (
        lambda given: _file(
            given, images=_images(9, 4, 4, 1) + 255.0, labels=[0] * 9
        ),
        ["`extra_data`=", "[0, 1]", "255"],
    ),
    "pickled_extra_labels": (
        lambda given: _file(
            given, images=_images(2, 4, 4, 1), labels=np.array([{}, {}])
        ),
        ["`extra_data`=", "Python objects, which are not loaded"],
    ),
    "extra_file_without_labels": (
        lambda given: _file(given, images=_images(9, 4, 4, 1), y=[0] * 9),
        ["`extra_data`=", "`images` and `labels`", "images, y"],
    ),
    "extra_file_that_is_none": (
        _text,
        ["`extra_data`=", "must be an .npz file"],
    ),
    "extra_file_of_one_array": (
        _one_array,
        ["`extra_data`=", "must be an .npz file", "no zip archive"],
    ),
    "extra_file_that_is_a_folder": (
        _folder,
        ["`extra_data`=", "extra.npz is a folder", "give an .npz file"],
    ),
    "extra_file_that_is_not_there": (
        lambda given: data.with_extra(_train(given), "none.npz"),
        ["`extra_data`=none.npz does not exist"],
    ),
    "extra_data_of_an_unknown_name": (
        lambda given: data.with_extra(_train(given), "digitz"),
        ["`extra_data` must be", "Did you mean 'digits'?"],
    ),
    "too_few_extra_images_for_a_batch": (
        lambda given: _file(given, images=_images(1, 4, 4, 1), labels=[0]),
        ["`extra_data`=", "at least 2 images", "Received: 1"],
    ),
    "extra_fraction_of_1": (
        lambda given: data.with_extra(_train(given), "digits", 1.0),
        ["extra_fraction", "in (0, 1)"],
    ),
    "extra_images_for_arrays": (
        lambda given: data.with_extra((given.images, given.labels), "digits"),
        ["`train`", "from_arrays"],
    ),
}


def _no_archive(folder):
    (folder / "extra.npz").write_text("images")


COMMANDS = {
    "no_extra_file": (
        "pretrain --extra_data={folder}/none.npz",
        ["--extra_data", "none.npz does not exist"],
    ),
    "extra_file_of_another_kind": (
        (_no_archive, "pipeline --extra_data={folder}/extra.npz"),
        ["--extra_data", "must be an .npz file"],
    ),
    "extra_share_of_no_image": (
        "pipeline --extra_data=x.npz --extra_fraction=0.1 --batch_size=4",
        ["--extra_fraction=0.1", "--batch_size=4", "extra and labelled ones"],
    ),
}
