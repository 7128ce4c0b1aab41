"""`to_masked` in one line, for the networks that people have."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests.pruning.architectures import ARCHITECTURES
from tests.pruning.architectures import CLASSES
from tests.pruning.architectures import calibrated
from tests.pruning.architectures import images_of
from tests.pruning.architectures import largest_pixel

pytestmark = pytest.mark.usefixtures("without_tracing")
EVERY = sorted(ARCHITECTURES)
FAST = [name for name in EVERY if not ARCHITECTURES[name].slow]
STRUCTURED = [name for name in EVERY if ARCHITECTURES[name].left < 1]


def network(name):
    """Returns a network of the table, with its images."""
    pytest.importorskip(ARCHITECTURES[name].package)
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = ARCHITECTURES[name].make()
    return calibrated(model), images_of(model)


def assert_close(one, other, tolerance=1e-5):
    one, other = np.asarray(one), np.asarray(other)
    assert np.all(np.isfinite(one))
    scale = float(np.abs(one).max())
    np.testing.assert_allclose(one, other, atol=tolerance * scale, rtol=0)


def check_one_line(name):
    """Masks, compares, prunes, strips; returns the masked and the images."""
    model, images = network(name)
    with warnings.catch_warnings():
        # Of the weights left dense, such as a class token.
        warnings.simplefilter("ignore", UserWarning)
        masked = ht.to_masked(model)
    outputs = model(images)
    # Outputs that differ, else all of what follows says little.
    scale = np.abs(outputs).max()
    assert np.std(outputs, axis=0).max() > 1e-3 * scale
    assert_close(outputs, masked(images))
    ht.set_density(masked, 0.5)
    pruned = masked(images)
    assert np.abs(outputs - pruned).max() > 1e-3 * scale
    stripped = ht.strip_masks(masked)
    assert_close(pruned, stripped(images))
    assert ht.sparsity_report(masked).density == pytest.approx(0.5, abs=0.02)
    return masked, images


def test_thirty_architectures_and_more():
    assert len(EVERY) >= 30
    # So many without an optional package.
    assert sum(each.package == "keras" for each in ARCHITECTURES.values()) >= 30


@pytest.mark.parametrize("name", FAST)
def test_one_line(name):
    check_one_line(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_every_phase_and_files(name, tmp_path):
    masked, images = check_one_line(name)
    labels = np.arange(len(images)) % CLASSES
    largest = largest_pixel(masked)
    trades = ht.objectives.TRADES(
        epsilon=0.03 * largest, num_steps=1, clip=(0.0, largest)
    )
    robust = ht.RobustModel(masked, trades)
    for phase in ht.layers.PHASES:
        if phase == "prune":
            ht.init_scores(masked)
        ht.set_phase(masked, phase)
        robust.compile(keras.optimizers.Adam(1e-4))
        before = [np.asarray(each) for each in masked.trainable_variables]
        logs = robust.train_on_batch(images, labels, return_dict=True)
        assert np.isfinite(logs["loss"])
        changed = [
            np.any(old != np.asarray(new))
            for old, new in zip(before, masked.trainable_variables, strict=True)
        ]
        assert np.mean(changed) > 0.6
    outputs = masked(images)
    stripped = ht.strip_masks(masked)
    assert_close(outputs, stripped(images))
    for each in ("masked", "stripped"):
        path = str(tmp_path / f"{each}.keras")
        {"masked": masked, "stripped": stripped}[each].save(path)
        loaded = keras.models.load_model(path)
        assert_close(outputs, loaded(images))
    path = str(tmp_path / "exported")
    ht.export_saved_model(masked, path)
    serve = tf.saved_model.load(path).signatures["serving_default"]
    logits = serve(images=tf.constant(images / largest))["logits"]
    if largest == 1:
        assert_close(outputs, logits)


@pytest.fixture
def double_precision():
    """Rounding shows behind a hundred layers of random weights."""
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


@pytest.mark.slow
@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("granularity", ["channel", "filter"])
@pytest.mark.parametrize("name", STRUCTURED)
def test_channels_and_shrink(name, granularity):
    model, images = network(name)
    with warnings.catch_warnings():
        # Of layers that keep all their channels.
        warnings.simplefilter("ignore", UserWarning)
        masked = ht.to_masked(model, density=0.7, granularity=granularity)
    outputs = calibrated(masked)(images)
    shrunk = ht.shrink(masked)
    assert_close(outputs, shrunk(images), 1e-9)
    left = ARCHITECTURES[name].left
    assert shrunk.count_params() < left * model.count_params()
