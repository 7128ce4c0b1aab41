"""Effective kernels are computed once where a context says so."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import RobustModel
from hydra_tf import layers
from hydra_tf import objectives
from hydra_tf import training


def random_array(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


INPUTS = random_array(0, (64, 6))


def dense_model(phase=None):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.MaskedDense(16, "relu", density=0.3, phase=phase),
            layers.MaskedDense(3, density=0.3, phase=phase),
        ]
    )


class TestReuse:
    @pytest.fixture
    def model(self):
        return dense_model("prune")

    def loss(self, model, reuse):
        inputs = tf.constant(INPUTS)
        if not reuse:
            return tf.reduce_sum(model(inputs) * model(inputs + 1))
        with layers.reuse_effective_kernels(model):
            return tf.reduce_sum(model(inputs) * model(inputs + 1))

    @pytest.mark.parametrize("in_function", [False, True])
    def test_gives_the_same_outputs_and_gradients(self, model, in_function):
        def gradients(reuse):
            with tf.GradientTape() as tape:
                loss = self.loss(model, reuse)
            return loss, tape.gradient(
                loss, [v.value for v in model.trainable_variables]
            )

        if in_function:
            gradients = tf.function(gradients)
        loss, expected = gradients(False)
        reused_loss, reused = gradients(True)
        np.testing.assert_allclose(reused_loss, loss, rtol=1e-6)
        assert len(reused) == 2
        for one, other in zip(reused, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)

    def test_reaches_into_loop_bodies(self, model):
        @tf.function
        def repeated(inputs):
            with layers.reuse_effective_kernels(model):
                return tf.while_loop(
                    lambda i, x: i < 3,
                    lambda i, x: (i + 1, x + tf.reduce_sum(model(x))),
                    [0, inputs],
                )[1]

        inputs = tf.constant(INPUTS[:4])
        expected = inputs
        for _ in range(3):
            expected += tf.reduce_sum(model(expected))
        np.testing.assert_allclose(repeated(inputs), expected, rtol=1e-5)
        graph = repeated.get_concrete_function(
            tf.TensorSpec(inputs.shape)
        ).graph
        assert count_selections(graph) == (2, 0)

    def test_is_what_keeps_selections_out_of_loop_bodies(self, model):
        @tf.function
        def repeated(inputs):
            return tf.while_loop(
                lambda i, x: i < 3,
                lambda i, x: (i + 1, x + tf.reduce_sum(model(x))),
                [0, inputs],
            )[1]

        graph = repeated.get_concrete_function(tf.TensorSpec((4, 6))).graph
        assert count_selections(graph) == (0, 2)

    def test_ends_with_the_context(self, model):
        inputs = tf.constant(INPUTS[:4])
        with layers.reuse_effective_kernels(model):
            before = model(inputs)
            model.layers[0].kernel.assign(random_array(5, (6, 16)))
            np.testing.assert_array_equal(model(inputs), before)
        assert not np.allclose(model(inputs), before)

    def test_ends_with_an_exception(self, model):
        with pytest.raises(KeyError), layers.reuse_effective_kernels(model):
            raise KeyError
        before = model(INPUTS[:4])
        model.layers[0].kernel.assign(random_array(5, (6, 16)))
        assert not np.allclose(model(INPUTS[:4]), before)

    def test_nests(self, model):
        other = dense_model("prune")
        with layers.reuse_effective_kernels(model):
            with layers.reuse_effective_kernels(other):
                before = model(INPUTS)
                model.layers[0].kernel.assign(random_array(5, (6, 16)))
                np.testing.assert_array_equal(model(INPUTS), before)
            np.testing.assert_array_equal(model(INPUTS), before)

    def test_other_threads_do_not_see_it(self, model):
        outputs = []
        with layers.reuse_effective_kernels(model):
            before = model(INPUTS)
            model.layers[0].kernel.assign(random_array(5, (6, 16)))
            thread = threading.Thread(
                target=lambda: outputs.append(model(INPUTS))
            )
            thread.start()
            thread.join()
        assert not np.allclose(outputs[0], before)
        np.testing.assert_array_equal(outputs[0], model(INPUTS))

    def test_function_traced_inside_does_not_keep_the_kernel(self, model):
        call = tf.function(lambda inputs: model(inputs))
        inputs = tf.constant(INPUTS)
        with layers.reuse_effective_kernels(model):
            call(inputs)
        model.layers[0].kernel.assign(random_array(5, (6, 16)))
        np.testing.assert_allclose(call(inputs), model(inputs), atol=1e-5)

    def test_function_called_by_two_others_works_in_both(self, model):
        call = tf.function(lambda inputs: model(inputs))

        def outer(inputs):
            with layers.reuse_effective_kernels(model):
                return call(inputs)

        inputs = tf.constant(INPUTS)
        expected = model(inputs)
        for function in (tf.function(outer), tf.function(outer)):
            np.testing.assert_allclose(function(inputs), expected, atol=1e-5)


def count_selections(graph):
    """Numbers of top-k selections: outside and inside of loop bodies.

    A selection of float32 scores makes two histograms.
    """
    definition = graph.as_graph_def()
    functions = {f.signature.name: f for f in definition.library.function}

    def count(nodes, in_loop):
        counts = np.zeros(2, int)
        for node in nodes:
            if node.op == "DenseBincount":
                counts[int(in_loop)] += 1
            is_loop = node.op in ("While", "StatelessWhile")
            for key, attribute in node.attr.items():
                for name in [attribute.func.name] + [
                    f.name for f in attribute.list.func
                ]:
                    if name in functions and not key.startswith("_"):
                        counts += count(
                            functions[name].node_def, in_loop or is_loop
                        )
        return counts

    outside, inside = count(definition.node, False)
    assert outside % 2 == 0
    assert inside % 2 == 0
    return int(outside) // 2, int(inside) // 2


class TestSelectionsPerStep:
    @pytest.mark.parametrize(
        ("phase", "selections"),
        [("prune", 2), ("finetune", 0), ("pretrain", 0)],
    )
    def test_one_per_layer_when_scores_train(self, phase, selections):
        model = dense_model(phase)
        robust = RobustModel(
            model,
            objectives.TRADES(epsilon=0.1, step_size=0.05, num_steps=3),
        )
        robust.compile(training.SGD(0.1))
        robust.optimizer.build(robust.trainable_variables)
        for step in (robust.train_step, robust.test_step):
            function = tf.function(
                lambda x, y, step=step: step((x, y)), autograph=False
            )
            graph = function.get_concrete_function(
                tf.TensorSpec((8, 6)), tf.TensorSpec((8,), tf.int32)
            ).graph
            assert "While" in str(
                {node.op for node in graph.as_graph_def().node}
            )
            assert count_selections(graph) == (selections, 0)

    def test_one_per_layer_in_an_attack_called_by_hand(self):
        model = dense_model("prune")
        objective = objectives.TRADES(epsilon=0.1, step_size=0.05, num_steps=3)

        @tf.function(autograph=False)
        def perturb(x, y):
            return objective.perturb(model, x, y)

        graph = perturb.get_concrete_function(
            tf.TensorSpec((8, 6)), tf.TensorSpec((8,), tf.int32)
        ).graph
        assert count_selections(graph) == (2, 0)
