"""The binary that converts checkpoints; what they hold is given as arrays."""

import numpy as np
import pytest

from hydra_tf.torch_checkpoints import TorchCheckpoint
from hydra_tf.torch_checkpoints import network
from tests.torch_checkpoints import weights
from tests.trainers import binaries
from trainers.run import source
from trainers.run.folder import RunFolder

SHAPES = {
    "0.weight": (16, 1, 4, 4),
    "0.bias": (16,),
    "0.popup_scores": (16, 1, 4, 4),
    "2.weight": (32, 16, 4, 4),
    "2.bias": (32,),
    "2.popup_scores": (32, 16, 4, 4),
    "5.weight": (100, 128),
    "5.bias": (100,),
    "5.popup_scores": (100, 128),
    "7.weight": (10, 100),
    "7.bias": (10,),
    "7.popup_scores": (10, 100),
}


def test_folder_is_a_source_of_the_others(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(
        network,
        "read_torch_checkpoint",
        lambda path: TorchCheckpoint(weights.drawn(SHAPES), "mnist_model"),
    )
    run = tmp_path / "run"
    code = binaries.run(
        "convert",
        "--checkpoint=model_best.pth.tar",
        "--density=0.1",
        "--dataset=digits",
        f"--output_dir={run}",
    )
    output = capfd.readouterr()
    assert code == 0, output.err
    assert f"Network: {run / 'network.keras'}" in output.out
    assert "conv2" in output.out
    metrics = RunFolder(run).read_metrics()
    assert metrics["sparsity"]["density"] == pytest.approx(0.1, abs=1e-3)
    assert metrics["run"]["model"] == "mnist_model"
    assert metrics["run"]["source"] == "model_best.pth.tar"
    code = binaries.run(
        "evaluate",
        "--dataset=digits",
        f"--source={run}",
        "--eval_attacks=fgsm",
        "--epsilon=0.1",
        "--eval_examples=20",
        f"--output_dir={tmp_path / 'evaluated'}",
    )
    assert code == 0, capfd.readouterr().err
    found = source.find(str(run))
    assert found == run / "network.keras"
    kernel = source.load(found).get_layer("conv1").kernel
    np.testing.assert_array_equal(
        kernel, weights.drawn(SHAPES)["0.weight"].transpose(2, 3, 1, 0)
    )
