"""What PyTorch saves is read, and computes the same.

Skipped without PyTorch: pip install torch.
"""

import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests import golden
from tests.torch_checkpoints import weights

torch = pytest.importorskip("torch")
from tests.torch_checkpoints import originals  # noqa: E402

QUICK = ("mnist_model", "cifar_model")
SLOW = [name for name in originals.NETWORKS if name not in QUICK]
KINDS = {
    "pretrained": {},
    "hydra": {"k": 0.1},
    "harp": {"k": 0.1, "k_min": 0.01},
    "channels": {"k": 0.5, "k_min": 0.05, "channels": True},
}


def saved(path, made, arch=None):
    """Saves an original as HYDRA's and HARP's programs do."""
    optimizer = torch.optim.SGD(made.parameters(), 0.1, momentum=0.9)
    torch.save(
        {
            "epoch": 3,
            "arch": arch,
            "state_dict": torch.nn.DataParallel(made).state_dict(),
            "best_prec1": torch.tensor(51.5),
            "optimizer": optimizer.state_dict(),
        },
        path,
    )
    return path


def assert_equal(network, made):
    images = weights.images(network.input_shape[1:])
    weights.assert_equal_logits(
        network(images, training=False), originals.logits(made, images)
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in QUICK for kind in KINDS),
        *(
            pytest.param(name, kind, marks=pytest.mark.slow)
            for name in SLOW
            for kind in ("hydra", "harp")
        ),
    ],
)
def test_logits_equal_those_of_the_saved_network(name, kind, tmp_path):
    made = originals.with_weights(name, **KINDS[kind])
    path = saved(tmp_path / "model_best.pth.tar", made, name)
    density = KINDS[kind].get("k")
    assert_equal(ht.load_torch_checkpoint(path, density=density), made)


@pytest.mark.parametrize("name", ["mnist_model", "vgg4_bn"])
def test_golden_logits_are_those_of_pytorch(name):
    expected = golden.load("torch_checkpoints")
    for key, value in originals.golden_values(name).items():
        if value.dtype.kind == "U":
            assert str(value) == str(expected[key])
        else:
            np.testing.assert_allclose(value, expected[key], atol=1e-5)


def test_ties_are_kept_as_pytorch_keeps_them(tmp_path):
    made = originals.with_weights("mnist_model", k=0.3)
    for name, scores in made.named_parameters():
        if name.endswith("popup_scores"):
            scores.data = torch.randint(-2, 3, scores.shape).float()
    path = saved(tmp_path / "tied.pth.tar", made)
    network = ht.load_torch_checkpoint(path, "mnist_model", density=0.3)
    assert_equal(network, made)


def test_buffers_of_a_normalisation_are_taken(tmp_path):
    normalize = originals.Normalize([0.5, 0.4, 0.3], [0.25, 0.2, 0.5])
    made = originals.with_weights("cifar_model")
    made = torch.nn.Sequential(normalize, made).eval()
    path = saved(tmp_path / "normalized.pth.tar", made, "cifar_model")
    assert_equal(ht.load_torch_checkpoint(path), made)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64]
)
def test_other_precisions_become_float32(dtype, tmp_path):
    made = originals.with_weights("mnist_model").to(dtype)
    path = tmp_path / "state.pth"
    torch.save(made.state_dict(), path, _use_new_zipfile_serialization=False)
    network = ht.load_torch_checkpoint(path, "mnist_model")
    assert_equal(network, made.float())


class Own:
    pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {}, "args": Own()}, r"pickled object \(.*Own\)"),
        ({"epoch": 3, "best_prec1": np.float64(3)}, "pickled object"),
        ({"epoch": 3}, "holds no state dict"),
        ([torch.zeros(3)], "holds no state dict"),
        (torch.zeros(3), "holds no state dict"),
    ],
)
def test_what_is_no_state_dict_is_refused(content, words, tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(content, path)
    with pytest.raises(InputError, match=words) as caught:
        ht.load_torch_checkpoint(path, "mnist_model")
    assert "\n" not in str(caught.value)
    assert "`checkpoint`=" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello, world", b"PK\x03\x04" * 50])
def test_files_of_other_kinds_are_refused(content, tmp_path):
    path = tmp_path / "checkpoint.pth.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no checkpoint of PyTorch") as e:
        ht.load_torch_checkpoint(path, "mnist_model")
    assert "\n" not in str(e.value)


def test_model_is_required_where_the_file_does_not_say_it(tmp_path):
    path = saved(
        tmp_path / "x.pth.tar", originals.with_weights("mnist_model"), "own"
    )
    with pytest.raises(InputError, match="`model` is required.* says 'own'"):
        ht.load_torch_checkpoint(path)
