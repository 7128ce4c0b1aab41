"""Tests of fgsm and pgd."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf.attacks import fgsm
from hydra_tf.attacks import pgd
from hydra_tf.attacks.losses import attack_loss
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.losses import margin_loss
from hydra_tf.errors import InputError
from tests import golden
from tests.tiny_net import batch_norm_net
from tests.tiny_net import set_statistics
from tests.tiny_net import tiny_net

# Rounding of x + delta in float32, for x and x + delta in [0, 1].
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def trades_case():
    arrays = golden.load("trades")
    return arrays, tiny_net(arrays, masked=True)


@pytest.fixture(scope="module")
def pgd_case():
    arrays = golden.load("pgd")
    return arrays, tiny_net(arrays, masked=True)


def linf_settings(arrays):
    return {
        "epsilon": float(arrays["epsilon"]),
        "step_size": float(arrays["step_size"]),
        "clip": (float(arrays["clip_min"]), float(arrays["clip_max"])),
    }


def compiled_pgd(model, arrays, **settings):
    """Returns pgd on the arrays' images as a function of `num_steps`."""
    return tf.function(
        lambda num_steps: pgd(
            model, arrays["x"], arrays["y"], num_steps=num_steps, **settings
        )
    )


def assert_steps_match(attack, expected, atol):
    for number, x_adv in enumerate(expected, start=1):
        np.testing.assert_allclose(
            attack(tf.constant(number)), x_adv, rtol=0, atol=atol
        )


def test_trades_attack_matches_golden_at_every_step(trades_case):
    arrays, model = trades_case
    attack = compiled_pgd(
        model,
        arrays,
        loss="kl",
        start=arrays["x"] + 0.001 * arrays["n0"],
        **linf_settings(arrays),
    )
    assert_steps_match(attack, arrays["x_adv_steps"], atol=1e-6)


def test_l2_trades_attack_matches_golden_at_every_step(trades_case):
    arrays, model = trades_case
    epsilon = float(arrays["l2_epsilon"])
    attack = compiled_pgd(
        model,
        arrays,
        loss="kl",
        threat_model="l2",
        start=arrays["x"] + 0.001 * arrays["n0"],
        epsilon=epsilon,
        step_size=2 * epsilon / int(arrays["num_steps"]),
    )
    assert_steps_match(attack, arrays["l2_x_adv_steps"], atol=1e-4)
    delta = attack(tf.constant(10)) - arrays["x"]
    norms = np.linalg.norm(np.reshape(delta, (4, -1)), axis=1)
    np.testing.assert_allclose(norms, arrays["l2_delta_norms"], atol=1e-4)


def test_trades_attack_with_batch_norm_matches_golden_at_every_step():
    arrays = golden.load("batchnorm")
    model = batch_norm_net(arrays, masked=True)
    set_statistics(
        model,
        arrays["pass_moving_mean"][0],
        arrays["pass_moving_var"][0],
        arrays,
    )
    start = arrays["x"] + 0.001 * arrays["n0"]
    np.testing.assert_allclose(
        model(start, training=False),
        arrays["eval_logits_attack_start"],
        atol=1e-4,
    )
    attack = compiled_pgd(
        model, arrays, loss="kl", start=start, **linf_settings(arrays)
    )
    assert_steps_match(attack, arrays["x_adv_steps"], atol=1e-6)


@pytest.mark.parametrize("loss, prefix", [("ce", "pgd"), ("margin", "cw")])
def test_pgd_matches_golden_at_every_step(pgd_case, loss, prefix):
    arrays, model = pgd_case
    attack = compiled_pgd(
        model,
        arrays,
        loss=loss,
        start=arrays["x"] + arrays["start_uniform"],
        **linf_settings(arrays),
    )
    assert_steps_match(attack, arrays[f"{prefix}_x_adv_steps"], atol=1e-6)


def test_pgd_from_the_image_matches_golden(pgd_case):
    arrays, model = pgd_case
    attack = compiled_pgd(
        model, arrays, random_start=False, **linf_settings(arrays)
    )
    np.testing.assert_allclose(
        attack(10), arrays["pgd_nostart_x_adv"], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    "loss, prefix, batch_mean",
    [
        ("ce", "pgd", True),
        ("margin", "cw", False),
        ("ce", "madry", False),
        ("ce", "mart", True),
    ],
)
def test_input_gradients_match_golden(pgd_case, loss, prefix, batch_mean):
    arrays, model = pgd_case
    expected = arrays[f"{prefix}_grad_steps"] * (4 if batch_mean else 1)
    start = arrays["x"] + arrays["start_uniform"]
    if prefix == "mart":
        start = arrays["x"] + 0.001 * arrays["start_normal"]
    points = [start]
    if f"{prefix}_x_adv_steps" in arrays:
        points += list(arrays[f"{prefix}_x_adv_steps"][:-1])
    for point, gradient in zip(points, expected, strict=False):
        assert_input_gradient(
            model, point, attack_loss(loss, arrays["y"], None), gradient
        )


@pytest.mark.parametrize("name", ["trades", "batchnorm"])
def test_input_gradients_of_the_divergence_match_golden(name):
    arrays = golden.load(name)
    if name == "trades":
        model = tiny_net(arrays, masked=True)
    else:
        model = batch_norm_net(arrays, masked=True)
        set_statistics(
            model,
            arrays["pass_moving_mean"][0],
            arrays["pass_moving_var"][0],
            arrays,
        )
    start = arrays["x"] + 0.001 * arrays["n0"]
    points = [start, *arrays["x_adv_steps"][:-1]]
    loss = attack_loss("kl", None, model(arrays["x"], training=False))
    for point, gradient in zip(
        points, arrays["attack_grad_steps"], strict=True
    ):
        assert_input_gradient(model, point, loss, gradient)


def assert_input_gradient(model, point, loss_of, expected):
    point = tf.constant(point)
    with tf.GradientTape() as tape:
        tape.watch(point)
        total = tf.reduce_sum(loss_of(model(point, training=False)))
    np.testing.assert_allclose(
        tape.gradient(total, point),
        expected,
        rtol=0,
        atol=1e-4 * np.abs(expected).max(),
    )


def test_margin_losses_match_golden(pgd_case):
    arrays, model = pgd_case
    for key, images in (
        ("cw_loss_natural", arrays["x"]),
        ("cw_loss_adv", arrays["cw_x_adv_steps"][-1]),
    ):
        loss = tf.reduce_sum(margin_loss(model(images), arrays["y"]))
        np.testing.assert_allclose(loss, arrays[key], rtol=1e-5)


def test_eager_compiled_and_xla_agree(pgd_case):
    arrays, model = pgd_case
    attack = tf.function(
        lambda x: pgd(
            model,
            x,
            arrays["y"],
            start=arrays["pgd_start"],
            num_steps=4,
            **linf_settings(arrays),
        )
    )
    in_xla = tf.function(attack.python_function, jit_compile=True)
    x = tf.constant(arrays["x"])
    expected = arrays["pgd_x_adv_steps"][3]
    for result in (attack.python_function(x), attack(x), in_xla(x)):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


def test_restarts_in_xla_stay_in_the_ball():
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(6, 3)).astype(np.float32)
    x = generator.uniform(size=(5, 6)).astype(np.float32)
    attack = tf.function(
        lambda x: pgd(
            lambda images: images @ weights,
            x,
            tf.zeros((5,), tf.int32),
            num_steps=2,
            num_restarts=2,
            seed=0,
            threat_model="l2",
            epsilon=0.3,
            step_size=0.1,
        ),
        jit_compile=True,
    )
    assert_in_ball(x, attack(x), 0.3, "l2")


def assert_in_ball(x, x_adv, epsilon, threat_model):
    delta = np.reshape(np.asarray(x_adv) - np.asarray(x), (len(x), -1))
    order = {"linf": np.inf, "l2": 2}[threat_model]
    assert np.all(np.linalg.norm(delta, order, axis=1) <= epsilon + ROUNDING)
    assert np.min(x_adv) >= 0 and np.max(x_adv) <= 1


@settings(max_examples=12, deadline=None)
@given(
    threat_model=st.sampled_from(["linf", "l2"]),
    loss=st.sampled_from(["ce", "kl", "margin"]),
    epsilon=st.floats(0.0, 2.0),
    relative_step=st.floats(0.0, 3.0),
    num_steps=st.integers(0, 3),
    num_restarts=st.integers(1, 2),
    seed=st.integers(0, 2**40),
)
def test_attacks_stay_in_the_ball_and_in_range(
    pgd_case,
    threat_model,
    loss,
    epsilon,
    relative_step,
    num_steps,
    num_restarts,
    seed,
):
    arrays, model = pgd_case
    x = np.round(arrays["x"])  # Both ends of the range occur.
    step_size = epsilon * relative_step
    if threat_model == "linf":
        # Any image of the range is that near.
        epsilon, step_size = min(epsilon, 1.0), min(step_size, 1.0)
    x_adv = pgd(
        model,
        x,
        arrays["y"],
        epsilon=epsilon,
        step_size=step_size,
        num_steps=num_steps,
        threat_model=threat_model,
        loss=loss,
        num_restarts=num_restarts,
        seed=seed,
    )
    assert_in_ball(x, x_adv, epsilon, threat_model)


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_a_start_outside_the_ball_ends_inside(pgd_case, threat_model):
    arrays, model = pgd_case
    for num_steps in (0, 1, 3):
        x_adv = pgd(
            model,
            arrays["x"],
            arrays["y"],
            start=arrays["x"] + 5.0,
            epsilon=0.25,
            step_size=0.1,
            num_steps=num_steps,
            threat_model=threat_model,
        )
        assert_in_ball(arrays["x"], x_adv, 0.25, threat_model)


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_epsilon_zero_returns_the_images(pgd_case, threat_model):
    arrays, model = pgd_case
    for attack in (
        lambda **settings: pgd(model, num_steps=3, step_size=0.1, **settings),
        lambda **settings: fgsm(model, **settings),
    ):
        x_adv = attack(
            x=arrays["x"], y=arrays["y"], epsilon=0.0, threat_model=threat_model
        )
        np.testing.assert_array_equal(x_adv, arrays["x"])


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_zero_gradients_leave_the_image_where_it_is(threat_model):
    x = np.full((2, 3), 0.5, np.float32)
    x_adv = pgd(
        lambda images: 0.0 * images,
        x,
        [0, 1],
        epsilon=0.1,
        step_size=0.1,
        num_steps=2,
        threat_model=threat_model,
        random_start=False,
    )
    np.testing.assert_array_equal(x_adv, x)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 1000),
    threat_model=st.sampled_from(["linf", "l2"]),
    epsilon=st.floats(0.01, 0.2),
)
def test_linear_two_class_model_reaches_the_dual_norm_bound(
    seed, threat_model, epsilon
):
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(12, 2)).astype(np.float32)
    x = generator.uniform(0.3, 0.7, (5, 12)).astype(np.float32)
    y = generator.integers(0, 2, 5)

    def margin(images):
        logits = images @ weights
        return logits[np.arange(5), y] - logits[np.arange(5), 1 - y]

    # The margin can fall by epsilon times the dual norm of its gradient; the
    # range [0, 1] is out of reach.
    gradient = weights[:, 0] - weights[:, 1]
    dual = np.linalg.norm(gradient, {"linf": 1, "l2": 2}[threat_model])
    bound = margin(x) - epsilon * dual
    for x_adv in (
        fgsm(
            lambda images: images @ weights,
            x,
            y,
            epsilon=epsilon,
            threat_model=threat_model,
        ),
        pgd(
            lambda images: images @ weights,
            x,
            y,
            epsilon=epsilon,
            step_size=epsilon,
            num_steps=8,
            threat_model=threat_model,
            seed=seed,
        ),
    ):
        reached = margin(x_adv.numpy())
        assert np.all(reached >= bound - 1e-5)
        np.testing.assert_allclose(reached, bound, atol=2e-3 * epsilon * dual)


def test_more_restarts_are_never_weaker(pgd_case):
    arrays, model = pgd_case
    x, y = arrays["x"], arrays["y"]
    previous = None
    for num_restarts in (1, 2, 5):
        x_adv = pgd(
            model,
            x,
            y,
            num_steps=2,
            num_restarts=num_restarts,
            seed=3,
            **linf_settings(arrays),
        )
        logits = model(x_adv)
        broken = np.argmax(logits, axis=1) != y
        loss = cross_entropy(logits, y).numpy()
        if previous is not None:
            was_broken, old_loss = previous
            stronger = loss >= old_loss - 1e-6
            assert np.all(np.where(was_broken == broken, stronger, broken))
        previous = broken, loss


def test_restarts_prefer_the_misclassified_point():
    # A single pixel and three classes. Dark, the label leads narrowly, with
    # the higher loss; bright, another class leads, with the lower loss.
    dark = tf.math.log([[0.34, 0.33, 0.33]])
    bright = tf.math.log([[0.45, 0.54, 0.01]])

    def model(x):
        return tf.where(x < 0.5, dark, bright) + 0.0 * x

    for start in (0.4, 0.7):
        x_adv = pgd(
            model,
            tf.fill((1, 1), 0.4),
            [0],
            epsilon=0.4,
            step_size=0.05,
            num_steps=1,
            num_restarts=20,
            start=tf.fill((1, 1), start),
            seed=0,
        )
        assert x_adv.numpy().item() > 0.5


def test_first_restart_begins_at_the_given_start(pgd_case):
    arrays, model = pgd_case
    one = pgd(
        model,
        arrays["x"],
        arrays["y"],
        start=arrays["pgd_start"],
        num_steps=0,
        **linf_settings(arrays),
    )
    y_wrong = np.argmax(model(one), axis=1) + 1  # Everything is misclassified.
    kept = pgd(
        model,
        arrays["x"],
        y_wrong % 10,
        start=arrays["pgd_start"],
        num_steps=0,
        num_restarts=3,
        seed=1,
        **linf_settings(arrays),
    )
    losses = [
        cross_entropy(model(p), y_wrong % 10).numpy() for p in (one, kept)
    ]
    assert np.all(losses[1] >= losses[0] - 1e-6)


def test_results_do_not_depend_on_the_rest_of_the_batch(pgd_case):
    arrays, model = pgd_case
    attack = {"start": arrays["pgd_start"], **linf_settings(arrays)}
    whole = pgd(model, arrays["x"], arrays["y"], num_steps=5, **attack)
    attack["start"] = attack["start"][:1]
    alone = pgd(model, arrays["x"][:1], arrays["y"][:1], num_steps=5, **attack)
    np.testing.assert_allclose(alone, whole[:1], rtol=0, atol=1e-6)


def test_without_labels_the_predictions_are_attacked(pgd_case):
    arrays, model = pgd_case
    attack = {"random_start": False, "num_steps": 3, **linf_settings(arrays)}
    predicted = np.argmax(model(arrays["x"]), axis=1)
    np.testing.assert_array_equal(
        pgd(model, arrays["x"], None, **attack),
        pgd(model, arrays["x"], predicted, **attack),
    )


def test_labels_may_be_a_column(pgd_case):
    arrays, model = pgd_case
    settings_ = {"epsilon": 0.03}
    np.testing.assert_array_equal(
        fgsm(model, arrays["x"], arrays["y"][:, None], **settings_),
        fgsm(model, arrays["x"], arrays["y"], **settings_),
    )


def test_known_natural_logits_save_a_pass_and_change_nothing(pgd_case):
    arrays, model = pgd_case
    calls = []

    def counted(x):
        calls.append(x)
        return model(x)

    attack = {
        "loss": "kl",
        "start": arrays["pgd_start"],
        "num_steps": 1,
        **linf_settings(arrays),
    }
    first = pgd(counted, arrays["x"], None, **attack)
    assert len(calls) == 2
    second = pgd(
        counted,
        arrays["x"],
        arrays["y"],
        natural_logits=model(arrays["x"]),
        **attack,
    )
    assert len(calls) == 3
    np.testing.assert_array_equal(first, second)


def test_nothing_flows_back_through_an_attack(pgd_case):
    arrays, model = pgd_case
    x = tf.constant(arrays["x"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        x_adv = fgsm(model, x, arrays["y"], epsilon=0.03)
    assert tape.gradient(x_adv, x) is None


def test_batch_size_may_be_unknown_and_is_traced_once(pgd_case):
    arrays, model = pgd_case
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 8, 8, 3)),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((), tf.int32),
        ]
    )
    def attack(x, y, num_steps):
        traces.append(x)
        return pgd(
            model,
            x,
            y,
            num_steps=num_steps,
            num_restarts=2,
            threat_model="l2",
            epsilon=0.5,
            step_size=0.1,
            seed=tf.constant([1, 2]),
        )

    for rows, num_steps in ((4, 1), (3, 7)):
        x_adv = attack(arrays["x"][:rows], arrays["y"][:rows], num_steps)
        assert x_adv.shape == (rows, 8, 8, 3)
    assert len(traces) == 1


def test_weight_gradients_are_never_computed(pgd_case, tmp_path):
    arrays, model = pgd_case
    attack = compiled_pgd(model, arrays, seed=0, **linf_settings(arrays))
    attack(tf.constant(2))  # Traced and optimised before the recording.
    with tf.profiler.experimental.Profile(str(tmp_path)):
        attack(tf.constant(2))
    (recording,) = tmp_path.rglob("*.xplane.pb")
    executed = recording.read_bytes()
    assert b"Conv2DBackpropInput" in executed
    assert b"Conv2DBackpropFilter" not in executed


MEMORY_SCRIPT = """
import resource
import tensorflow as tf
from hydra_tf.attacks import pgd

weights = tf.Variable(tf.random.normal((3, 3, 3, 16)) / 5)
head = tf.Variable(tf.random.normal((16, 10)))

def model(x):
    x = tf.nn.relu(tf.nn.conv2d(x, weights, 1, "SAME"))
    return tf.reduce_mean(x, axis=[1, 2]) @ head

@tf.function
def train_step(x, y, num_steps):
    with tf.GradientTape() as tape:
        x_adv = pgd(model, x, y, epsilon=0.03, step_size=0.01, loss="kl",
                    num_steps=num_steps, num_restarts=2)
        loss = tf.reduce_mean(model(x_adv))
    return tape.gradient(loss, [weights, head])

x, y = tf.random.uniform((32, 32, 32, 3)), tf.zeros((32,), tf.int32)
for num_steps in (5, 5, 100):
    train_step(x, y, tf.constant(num_steps))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps():
    output = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    *_, few, many = map(float, output.split())
    # One activation map takes 2 MB: 95 more steps would need 190 MB.
    assert many - few < 40


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_two_replicas_attack_as_one_does(pgd_case, threat_model):
    arrays, _ = pgd_case
    devices = [d.name for d in tf.config.list_logical_devices("CPU")]
    assert len(devices) >= 2
    results = []
    for strategy in (
        tf.distribute.OneDeviceStrategy(devices[0]),
        tf.distribute.MirroredStrategy(devices[:2]),
    ):
        with strategy.scope():
            model = tiny_net(arrays, masked=True)

        def attack(x, y, model=model):
            return pgd(
                model,
                x,
                y,
                epsilon=0.1,
                step_size=0.01,
                num_steps=2,
                threat_model=threat_model,
                num_restarts=2,
                seed=5,
            )

        def run(batch, strategy=strategy, attack=attack):
            return strategy.run(attack, batch)

        dataset = tf.data.Dataset.from_tensor_slices(
            (arrays["x"], arrays["y"])
        ).batch(4)
        batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
        x_adv = strategy.experimental_local_results(tf.function(run)(batch))
        results.append(np.concatenate(x_adv))
    np.testing.assert_allclose(*results, rtol=0, atol=1e-6)


def test_mixed_precision_models_are_attacked_in_float32():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu", dtype="mixed_bfloat16"),
            keras.layers.Dense(3, dtype="mixed_bfloat16"),
        ]
    )
    x = np.random.default_rng(0).uniform(size=(6, 4)).astype(np.float32)
    x_adv = pgd(model, x, None, epsilon=0.01, step_size=0.001, num_steps=3)
    assert x_adv.dtype == tf.float32
    assert_in_ball(x, x_adv, 0.01, "linf")


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"threat_model": "linff"}, "Did you mean 'linf'"),
        ({"loss": "kll"}, "Did you mean 'kl'"),
        ({"epsilon": -0.1}, "`epsilon` must be a number >= 0"),
        ({"epsilon": float("nan")}, "`epsilon` must be a number >= 0"),
        ({"step_size": -0.1}, "`step_size` must be a number >= 0"),
        ({"num_steps": -1}, "`num_steps` must be a whole number >= 0"),
        ({"num_steps": 1.5}, "`num_steps` must be a whole number >= 0"),
        ({"num_restarts": 0}, "`num_restarts` must be a whole number >= 1"),
        ({"num_restarts": 2, "random_start": False}, "`random_start=True`"),
        ({"clip": (1.0, 0.0)}, "`clip` must be"),
        ({"x": np.zeros((2, 3), np.uint8)}, "float images"),
        ({"x": np.zeros((3,), np.float32)}, "batch axis"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    arguments = {
        "x": np.zeros((2, 3), np.float32),
        "y": [0, 1],
        "epsilon": 0.1,
        "step_size": 0.1,
        "num_steps": 1,
    }
    with pytest.raises(InputError, match=message):
        pgd(lambda x: x, **{**arguments, **changed})
