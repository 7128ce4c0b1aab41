"""A disk that is full, or takes no more: one line, and the run resumes."""

import keras
import pytest

from hydra_tf import data
from tests import disks
from tests.trainers import binaries


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A network whose weights take less room than its SavedModel's graph."""
    path = tmp_path_factory.mktemp("networks") / "small.keras"
    keras.utils.set_random_seed(0)
    keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="last"),
        ]
    ).save(path)
    return path


@pytest.mark.slow
def test_run_resumes_whatever_file_the_disk_took_no_more(
    source, tmp_path, capfd
):
    # The data set is there already.
    data.load("digits", "test", batch_size=10, data_dir=tmp_path)
    command = (
        "pretrain",
        "--dataset=digits",
        "--fraction=0.1",
        "--eval_examples=10",
        "--eval_num_steps=1",
        "--eval_num_restarts=1",
        "--objective=natural",
        "--tensorboard_images=0",
        "--epochs=1",
        f"--source={source}",
        f"--data_dir={tmp_path}",
        f"--output_dir={tmp_path / 'run'}",
    )
    for size, file in (
        (1_000, "flags.txt"),
        (5_000, "pretrain.state.npz"),
        (20_000, "saved_model"),
    ):
        with disks.file_size_limit(size):
            assert binaries.run(*command) == 1, file
        err = capfd.readouterr().err
        assert err.startswith("pretrain: error: ")
        assert f"{file} cannot be written: File too large; raise" in err, err
        assert err.count("\n") == 1
    assert binaries.run(*command) == 0
    assert (tmp_path / "run" / "saved_model" / "saved_model.pb").is_file()
    assert not list((tmp_path / "run").rglob("*.partial*"))
