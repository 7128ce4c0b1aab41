"""Tests of the losses that attacks climb."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import losses
from hydra_tf.errors import InputError
from tests import golden


@pytest.fixture(scope="module")
def pgd_arrays():
    return golden.load("pgd")


def test_margin_loss_and_its_gradient_match_the_golden_table(pgd_arrays):
    logits = tf.constant(pgd_arrays["cw_table_logits"])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(
            losses.margin_loss(
                logits,
                pgd_arrays["cw_table_labels"],
                confidence=float(pgd_arrays["cw_confidence"]),
            )
        )
    np.testing.assert_allclose(loss, pgd_arrays["cw_table_loss"], rtol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(loss, logits), pgd_arrays["cw_table_grad"], atol=1e-6
    )


def test_margin_loss_by_hand():
    logits = tf.constant([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])
    loss = losses.margin_loss(logits, tf.constant([1, 0]), confidence=1.5)
    # Margins 3 - 2 = 1 and 1 - 3 = -2, the second beyond the confidence.
    np.testing.assert_allclose(loss, [-2.5, 0.0])


def test_cross_entropy_by_hand_and_for_huge_logits():
    logits = tf.constant([[0.0, 0.0, 0.0, 0.0], [1e4, -1e4, 0.0, 0.0]])
    loss = losses.cross_entropy(logits, tf.constant([[2], [1]]))
    np.testing.assert_allclose(loss, [np.log(4.0), 2e4], rtol=1e-6)


def test_kl_divergence_by_hand():
    natural = tf.math.log([[0.5, 0.25, 0.25]])
    adversarial = tf.math.log([[0.25, 0.25, 0.5]])
    expected = 0.5 * np.log(2.0) - 0.25 * np.log(2.0)
    np.testing.assert_allclose(
        losses.kl_divergence(natural, adversarial), [expected], rtol=1e-6
    )


def test_kl_divergence_and_its_gradients_are_finite_for_huge_logits():
    natural = tf.constant([[1e4, 0.0, -1e4]])
    adversarial = tf.constant([[-1e4, 0.0, 1e4]])
    with tf.GradientTape() as tape:
        tape.watch([natural, adversarial])
        loss = losses.kl_divergence(natural, adversarial)
    gradients = tape.gradient(loss, [natural, adversarial])
    np.testing.assert_allclose(loss, [2e4])
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_kl_attack_loss_has_the_gradient_of_the_divergence():
    generator = np.random.default_rng(0)
    natural, adversarial = tf.constant(
        generator.normal(size=(2, 5, 7)).astype(np.float32)
    )
    gradients = []
    for loss_of in (
        losses.attack_loss("kl", None, natural),
        lambda logits: losses.kl_divergence(natural, logits),
    ):
        with tf.GradientTape() as tape:
            tape.watch(adversarial)
            loss = loss_of(adversarial)
        gradients.append(tape.gradient(loss, adversarial))
    np.testing.assert_allclose(*gradients, atol=1e-6)


def test_margins_and_mistakes():
    logits = tf.constant([[1.0, 3.0, 2.0], [5.0, 0.0, 4.0]])
    labels = tf.constant([2, 0])
    np.testing.assert_array_equal(losses.margin(logits, labels), [-1.0, 1.0])
    np.testing.assert_array_equal(
        losses.misclassified(logits, labels), [True, False]
    )


def test_unknown_loss_names_the_close_match():
    with pytest.raises(InputError, match="Did you mean 'margin'"):
        losses.attack_loss("margn", None, None)


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros((4, 10), np.int32), "one class index per image"),
        (np.zeros((4,), np.float32), "integers"),
    ],
)
def test_labels_of_another_form_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        losses.class_labels(labels)


def test_ratio_losses_match_the_golden_table():
    arrays = golden.load("autoattack")
    logits, y = tf.constant(arrays["unit/logits"]), arrays["unit/labels"]
    np.testing.assert_allclose(
        losses.dlr_loss(logits, y), arrays["unit/dlr_loss"], rtol=1e-5
    )
    for rank in range(9):
        np.testing.assert_allclose(
            losses.dlr_targeted_loss(
                logits, y, arrays["unit/target_classes"][:, rank]
            ),
            arrays["unit/dlr_targeted_loss"][:, rank],
            rtol=1e-5,
        )
    # The first half's labels are the predictions.
    ranked = [losses.ranked_other(logits, y, rank) for rank in range(9)]
    np.testing.assert_array_equal(
        np.stack(ranked, axis=1)[:24], arrays["unit/target_classes"][:24]
    )


def test_ratio_losses_of_few_classes():
    three, two = tf.constant([[3.0, 1.0, 2.0]]), tf.constant([[3.0, 1.0]])
    y, target = tf.constant([0]), tf.constant([1])
    # (2 - 3) / (3 - 1), and towards the class 1: (1 - 3) / (3 - 1).
    np.testing.assert_allclose(losses.dlr_loss(three, y), [-0.5])
    np.testing.assert_allclose(
        losses.dlr_targeted_loss(three, y, target), [-1.0]
    )
    # A ratio of two classes would be constant: the margin alone.
    np.testing.assert_allclose(losses.dlr_loss(two, y), [-2.0])
    np.testing.assert_allclose(losses.dlr_targeted_loss(two, y, target), [-2.0])
    assert losses.ranked_other(three, y, 0).numpy().tolist() == [2]


def test_ratio_losses_do_not_depend_on_the_scale():
    logits = tf.random.stateless_normal((5, 10), (0, 0))
    y, target = tf.range(5), tf.range(5) + 1
    for scale in (1e-3, 1e3):
        np.testing.assert_allclose(
            losses.dlr_loss(scale * logits, y),
            losses.dlr_loss(logits, y),
            rtol=1e-4,
        )
        np.testing.assert_allclose(
            losses.dlr_targeted_loss(scale * logits, y, target),
            losses.dlr_targeted_loss(logits, y, target),
            rtol=1e-4,
        )
