"""Networks given by `--source` to be measured or exported."""

import keras
import pytest

from hydra_tf import data
from hydra_tf import export
from hydra_tf.errors import InputError
from trainers.run import finished_network
from trainers.run.folder import RunFolder

DIGITS = data.info("digits")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same network as a file and as a SavedModel."""
    folder = tmp_path_factory.mktemp("sources")
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.UnitNormalization(name="odd_one"),
            keras.layers.Dense(10),
        ]
    )
    network.save(folder / "net.keras")
    export.export_saved_model(network, folder / "served")
    return folder


def test_file_and_saved_model_are_told_apart(sources):
    file = finished_network.load(str(sources / "net.keras"), DIGITS)
    served = finished_network.load(str(sources / "served"), DIGITS)
    assert isinstance(file.network, keras.Model) and not file.is_saved_model
    assert served.is_saved_model
    assert file.fingerprint != served.fingerprint
    again = finished_network.load(str(sources / "served"), DIGITS)
    assert again.fingerprint == served.fingerprint


@pytest.mark.parametrize(
    "name, words",
    [
        ("net.keras", "net.keras does not fit --method=ibp: .*odd_one"),
        ("served", "is a SavedModel, and --method=ibp needs the layers"),
    ],
)
def test_what_has_no_bounds_is_refused(name, words, sources):
    network = finished_network.load(str(sources / name), DIGITS)
    with pytest.raises(InputError, match=words):
        network.check_provable("--method=ibp")


def test_source_is_required_and_a_saved_model_is_no_keras_model(sources):
    with pytest.raises(InputError, match="--source is required"):
        finished_network.load(None, DIGITS)
    with pytest.raises(InputError, match="served holds no finished phase"):
        finished_network.load_keras(str(sources / "served"), DIGITS)


def test_flags_of_a_training_run_stay(tmp_path):
    folder = RunFolder(tmp_path)
    finished_network.write_flags(folder)
    assert folder.flagfile.read_text().startswith("# ")
    folder.flagfile.write_text("--density=0.1\n")
    folder.finished("prune").parent.mkdir()
    folder.finished("prune").touch()
    finished_network.write_flags(folder)
    assert folder.flagfile.read_text() == "--density=0.1\n"
