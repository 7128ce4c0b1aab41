"""Learned densities and channels from the command line to the folder."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf.layers  # noqa: F401  Registers what the checkpoints hold.
from hydra_tf import interrupts
from hydra_tf.training import epoch_lines
from tests.trainers import binaries

pytestmark = pytest.mark.usefixtures("without_tracing")

# Two steps an epoch.
TINY = (*binaries.TINY, "--batch_size=72")
# Above the target of TINY, which three epochs cannot reach.
HARP = ("--method=harp", "--rates=0.3", "--compression_gamma=0.05")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of data sets of one's own."""
    return f"--data_dir={tmp_path_factory.mktemp('tfds')}"


@pytest.fixture(scope="module")
def dense(tmp_path_factory, data_dir):
    """The flag for a pretrained network to start from."""
    folder = tmp_path_factory.mktemp("dense")
    code = binaries.run("pretrain", *TINY, data_dir, f"--output_dir={folder}")
    assert code == 0
    return f"--source={folder}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir, dense):
    """The folder of a pipeline with HARP, compared with HYDRA."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    code = binaries.run(
        "pipeline",
        *TINY,
        *HARP,
        data_dir,
        dense,
        "--compare=hydra",
        "--finetune_epochs=1",
        f"--output_dir={folder}",
    )
    assert code == 0
    return folder


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def network(folder, phase="prune"):
    path = folder / "checkpoints" / f"{phase}.keras"
    return keras.saving.load_model(path, compile=False)


def assert_equal_networks(first, second, phase="prune"):
    one, other = network(first, phase), network(second, phase)
    for variable, twin in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(variable, twin, variable.path)


@pytest.mark.slow
def test_exactly_the_target_is_left(whole):
    for folder in (whole, whole / "compare" / "hydra"):
        assert metrics(folder)["run"]["density"] == 0.2
    sparsity = metrics(whole)["sparsity"]
    assert sparsity["granularity"] == "weight"
    assert sparsity["kept"] == math.ceil(0.2 * sparsity["weights"])
    masks = [
        np.asarray(layer.mask)
        for layer in network(whole, "finetune").layers
        if hasattr(layer, "mask")
    ]
    assert sum(mask.sum() for mask in masks) == sparsity["kept"]
    densities = {layer["density"] for layer in sparsity["layers"]}
    assert max(densities) - min(densities) > 1e-4
    hydra = metrics(whole / "compare" / "hydra")["sparsity"]
    assert all(
        layer["kept"] == math.ceil(0.2 * layer["weights"])
        for layer in hydra["layers"]
    )


@pytest.mark.slow
def test_metrics_say_how_the_target_was_met(whole):
    record = metrics(whole)
    learned = record["sparsity"]["learned"]
    history = record["phases"]["prune"]["history"]
    assert learned["target"] == 0.2
    assert learned["resource"] == "weights"
    assert learned["achieved_weights"] == record["sparsity"]["density"]
    assert 0 < learned["achieved_flops"] < 1
    losses = [epoch["compression_loss"] for epoch in history]
    densities = [epoch["density"] for epoch in history]
    assert densities == sorted(densities, reverse=True)
    assert densities[0] < 0.3
    for loss, density in zip(losses, densities, strict=True):
        assert loss == pytest.approx(density / 0.2 - 1, abs=1e-5)
    gammas = [epoch["gamma"] for epoch in history]
    assert gammas == pytest.approx([0.05, 0.1, 0.15])
    # Not reached: no epoch is the best, and the last one is cut.
    assert learned["gamma_frozen_at_epoch"] is None
    assert learned["best_epoch"] is None
    assert learned["density_before_settling"] == densities[-1]
    assert "learned" not in metrics(whole / "compare" / "hydra")["sparsity"]


@pytest.mark.slow
def test_folders_hold_plots_and_say_so(whole):
    for folder in (whole, whole / "compare" / "hydra"):
        plot = folder / "densities.png"
        assert plot.read_bytes().startswith(b"\x89PNG")
        entry = metrics(folder)["artifacts"]["densities"]
        assert entry == {"path": "densities.png", "bytes": plot.stat().st_size}
        assert "densities.png" in (folder / "README.md").read_text()


def scalars(folder, phase):
    """Returns the scalars that TensorBoard shows, by tag."""
    found = {}
    for path in (folder / "events" / phase).glob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, []).append(
                        float(tf.make_ndarray(value.tensor))
                    )
    return found


@pytest.mark.slow
def test_events_show_each_layer_s_density_over_time(whole):
    shown = scalars(whole, "prune")
    names = [layer["name"] for layer in metrics(whole)["sparsity"]["layers"]]
    for name in names:
        assert len(shown[f"density/{name}"]) == 3
        assert shown[f"density/{name}"][-1] < 0.3
    history = metrics(whole)["phases"]["prune"]["history"]
    for tag, key in (
        ("density/total", "density"),
        ("gamma", "gamma"),
        ("compression_loss", "compression_loss"),
    ):
        expected = [epoch[key] for epoch in history]
        assert shown[tag] == pytest.approx(expected, abs=1e-6)
    later = scalars(whole, "finetune")
    assert later["density"] == pytest.approx([0.2], abs=1e-4)
    assert not any(tag.startswith("density/") for tag in later)


@pytest.mark.slow
def test_finished_run_and_its_comparison_are_left_alone(whole, capfd):
    before = (whole / "metrics.json").read_bytes()
    for folder in (whole, whole / "compare" / "hydra"):
        flagfile = folder / "flags.txt"
        assert binaries.run("pipeline", f"--flagfile={flagfile}") in (0, 2)
    assert "finished before; nothing to do" in capfd.readouterr().out
    assert (whole / "metrics.json").read_bytes() == before
    # The other method's own flags, by which it can be run again.
    text = (whole / "compare" / "hydra" / "flags.txt").read_text()
    assert "--method=hydra" in text and "--allocation=uniform" in text
    assert "--rates" not in text


@pytest.fixture(scope="module")
def met(tmp_path_factory, data_dir, dense):
    """The folder of a prune phase that is at its target from the start."""
    folder = tmp_path_factory.mktemp("met")
    code = binaries.run(
        "prune",
        *TINY,
        *HARP,
        data_dir,
        dense,
        "--rates=0.18",
        f"--output_dir={folder}",
    )
    assert code == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "rates, done",
    [
        ("0.18", 1),
        pytest.param("0.3", 1, marks=pytest.mark.slow),
        pytest.param("0.18", 3, marks=pytest.mark.slow),
    ],
)
def test_stopped_prune_phase_ends_with_the_same_network(
    rates, done, whole, met, data_dir, dense, tmp_path, monkeypatch
):
    command = (*TINY, *HARP, data_dir, dense, f"--rates={rates}")
    command += (f"--output_dir={tmp_path}",)
    original = epoch_lines.EpochLines.on_epoch_end

    def stop(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch + 1 == done:
            raise interrupts.Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(epoch_lines.EpochLines, "on_epoch_end", stop)
        assert binaries.run("prune", *command) == 128 + 15
    assert not (tmp_path / "checkpoints" / "prune.keras").exists()
    assert binaries.run("prune", *command) == 0
    uninterrupted = whole if rates == "0.3" else met
    assert_equal_networks(uninterrupted, tmp_path)
    phases = [
        metrics(folder)["phases"]["prune"]
        for folder in (uninterrupted, tmp_path)
    ]
    for one, other in zip(*(each["history"] for each in phases), strict=True):
        del one["seconds"], other["seconds"]
        assert one == other


@pytest.mark.slow
def test_best_epoch_counts_where_the_target_was_met(met):
    record = metrics(met)
    learned = record["sparsity"]["learned"]
    history = record["phases"]["prune"]["history"]
    assert learned["gamma_frozen_at_epoch"] == 1
    assert learned["gamma"] == pytest.approx(0.05)
    accuracies = [epoch["robust_accuracy"] for epoch in history]
    best = learned["best_epoch"]
    assert accuracies[best - 1] == max(accuracies)
    assert [epoch["best_epoch"] for epoch in history][-1] == best
    before = learned["density_before_settling"]
    assert before == history[best - 1]["density"]
    # Below the target, densities are only rounded up to whole weights.
    assert before <= learned["achieved_weights"] <= before + 1e-4


@pytest.mark.parametrize(
    "granularity, precision, strategy",
    [
        pytest.param("channel", "float32", "mirrored", marks=pytest.mark.slow),
        pytest.param(
            "filter", "mixed_bfloat16", "none", marks=pytest.mark.slow
        ),
    ],
)
def test_channels_go_through_all_phases(
    granularity, precision, strategy, data_dir, dense, tmp_path, request
):
    if strategy == "mirrored":
        request.getfixturevalue("with_tracing")
    code = binaries.run(
        "pipeline",
        *TINY,
        "--method=harp",
        "--density=0.4",
        "--prune_epochs=1",
        "--finetune_epochs=1",
        f"--granularity={granularity}",
        f"--precision={precision}",
        f"--strategy={strategy}",
        data_dir,
        dense,
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    record = metrics(tmp_path)
    assert record["run"]["replicas"] == (2 if strategy == "mirrored" else 1)
    sparsity = record["sparsity"]
    assert sparsity["granularity"] == granularity
    assert sparsity["learned"]["resource"] == "flops"
    counted = [layer for layer in sparsity["layers"] if layer["units"]]
    assert len(counted) == 5
    assert all(1 <= each["units_kept"] < each["units"] for each in counted)
    # What nobody reads is not computed either.
    masks = {
        layer.name: np.asarray(layer.mask)
        for layer in network(tmp_path, "finetune").layers
        if hasattr(layer, "mask")
    }
    read = masks["conv2"].any(axis=(0, 1, 3))
    made = masks["conv1"].any(axis=(0, 1, 2))
    np.testing.assert_array_equal(read, made)
    assert read.sum() < read.size


@pytest.mark.slow
def test_n_of_m_keeps_n_of_every_m(data_dir, dense, tmp_path):
    code = binaries.run(
        "pipeline",
        *[flag for flag in TINY if "density" not in flag],
        "--granularity=2:4",
        "--prune_epochs=1",
        "--finetune_epochs=0",
        data_dir,
        dense,
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    record = metrics(tmp_path)
    assert record["run"]["density"] == 0.5
    assert record["sparsity"]["granularity"] == "2:4"
    assert record["sparsity"]["density"] == 0.5
    mask = np.asarray(network(tmp_path).get_layer("conv2").mask)
    height, width, inputs, outputs = mask.shape
    blocks = mask.reshape(height, width, inputs // 4, 4, outputs)
    np.testing.assert_array_equal(blocks.sum(axis=3), 2)


@pytest.mark.slow
def test_densities_are_learned_under_bounds_too(data_dir, dense, tmp_path):
    code = binaries.run(
        "prune",
        *TINY,
        *HARP,
        data_dir,
        dense,
        "--objective=ibp",
        "--epsilon=0.01",
        "--prune_schedule_length=1",
        "--epochs=2",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    sparsity = metrics(tmp_path)["sparsity"]
    assert sparsity["kept"] == math.ceil(0.2 * sparsity["weights"])
