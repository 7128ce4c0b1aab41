"""A loss with what it is made of."""

import tensorflow as tf

from hydra_tf.objectives import Loss


def test_a_loss_of_terms_is_their_sum():
    terms = {"one": tf.constant(1.0), "two": tf.constant(2.0)}
    loss = Loss.of_terms(terms, figures={"epsilon": 0.5})
    assert loss.value == 3.0
    assert loss.terms == terms
    assert loss.figures == {"epsilon": 0.5}


def test_a_loss_may_be_a_scalar_alone():
    loss = Loss(tf.constant(1.0))
    assert not loss.terms and not loss.figures
    assert loss.natural_logits is None and loss.robust_logits is None
