"""Mistakes with formats, files that are deployed, and what they are."""

import keras

from hydra_tf import evaluation
from hydra_tf import export
from tests.mistakes.course import prune
from tests.mistakes.flags import SOURCE
from tests.mistakes.flags import small

PYTHON = {
    "unknown_quantisation": (
        lambda given: export.export_litert(
            given.network(), given.folder / "n.tflite", quantize="int4"
        ),
        ["`quantize` must be one of 'none', 'float16'", "quantize='int4'"],
    ),
    "int8_without_images": (
        lambda given: export.export_litert(
            given.network(), given.folder / "n.tflite", quantize="int8"
        ),
        ["`representative` must be given", "training images in [0, 1]"],
    ),
    "ranges_from_bytes": (
        lambda given: export.export_litert(
            given.network(),
            given.folder / "n.tflite",
            quantize="int8",
            representative=255 * given.images,
        ),
        ["`representative`", "[0, 1]"],
    ),
    "LiteRT_file_of_another_name": (
        lambda given: export.export_litert(
            given.network(), given.folder / "network"
        ),
        ["`path` must end in .tflite", "network'"],
    ),
    "target_in_a_file": (
        lambda given: export.export_litert(
            given.network(), _file(given) / "n.tflite"
        ),
        ["cannot be written", "is not a folder"],
    ),
    "version_that_exists": (
        lambda given: [
            export.export_serving(
                given.network(), given.folder / "m", version=1
            )
            for _ in range(2)
        ],
        ["`version`=1 exists", "leave it out for 2"],
    ),
    "network_in_place_of_a_file": (
        lambda given: export.litert_function(given.folder / "no.tflite"),
        ["no.tflite cannot be read"],
    ),
    "quantisation_in_mind_of_no_training": (
        lambda given: prune(given, finetune_epochs=0, quantize="int8"),
        ["`quantize`='int8'", "finetune phase that trains", "epochs=0"],
    ),
    "property_of_no_radius": (
        lambda given: export.export_vnnlib(
            given.folder,
            given.images,
            given.labels,
            epsilon=0.0,
            num_classes=3,
        ),
        ["`epsilon` must be above 0"],
    ),
    "properties_of_a_radius_in_bytes": (
        lambda given: export.export_vnnlib(
            given.folder,
            given.images,
            given.labels,
            epsilon=8.0,
            num_classes=3,
        ),
        ["`epsilon` must be above 0 and at most 1", "8"],
    ),
    "names_of_other_classes": (
        lambda given: export.export_serving(
            given.network(), given.folder / "m", class_names=["cat"]
        ),
        ["`class_names` must be", "one for each logit", "1"],
    ),
    "no_thread": (
        lambda given: export.litert_function(
            given.folder / "n.tflite", threads=0
        ),
        ["`threads` must be a whole number >= 1", "threads=0"],
    ),
    "loop_of_a_recurrent_layer": (
        lambda given: export.export_litert(
            _recurrent(), given.folder / "n.tflite"
        ),
        ["LiteRT has no kernel for TensorListReserve", "lstm", "unroll=True"],
    ),
    "figures_of_no_images": (
        lambda given: evaluation.ArtifactEvaluation(
            given.network(), given.images[:0], given.labels[:0], epsilon=0.1
        ),
        ["`images`"],
    ),
}
COMMANDS = {
    "unknown_format": (
        (small, f"export {SOURCE} --formats=tflite"),
        ["--formats", "'litert'", "tflite"],
    ),
    "version_without_serving": (
        (small, f"export {SOURCE} --serving_version=2"),
        ["--serving_version=2", "--formats=serving"],
    ),
    "rounding_of_what_is_not_shrunk": (
        (small, f"export {SOURCE} --round_channels=8"),
        ["--round_channels=8", "--shrink"],
    ),
}


def _recurrent():
    layers = keras.layers
    return keras.Sequential([keras.Input((4, 3)), layers.LSTM(2, name="lstm")])


def _file(given):
    path = given.folder / "file"
    path.touch()
    return path
