"""Masks keep exactly the largest magnitudes, and pass gradients through."""

import math

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hydra_tf import InputError
from hydra_tf.ops.counts import kept_count
from hydra_tf.ops.masks import mask_of_count
from hydra_tf.ops.masks import topk_mask
from tests import golden
from tests.ops.exact import exact_ceil

DTYPES = ("float32", "bfloat16", "float16")
GOLDEN = golden.load("masks")
GOLDEN_ARRAYS = ("vec", "vecodd", "dense", "conv")


def sorted_mask(scores, kept):
    """The mask by a stable sort, which puts equal magnitudes in order."""
    flat = np.abs(np.ravel(np.asarray(scores))).astype(np.float64)
    mask = np.zeros(flat.size)
    mask[np.argsort(-flat, kind="stable")[:kept]] = 1
    return mask.reshape(np.shape(scores))


@tf.function(jit_compile=True)
def compiled_mask(scores, density):
    return topk_mask(scores, density)


class TestGoldenMasks:
    @pytest.mark.parametrize("index", range(7))
    @pytest.mark.parametrize("name", GOLDEN_ARRAYS)
    def test_equal_the_original_or_lack_its_one_extra_entry(self, name, index):
        density = float(GOLDEN["densities"][index])
        scores = GOLDEN[f"{name}_scores"]
        golden_mask = GOLDEN[f"{name}_mask"][index]
        golden_kept = int(GOLDEN[f"{name}_kept"][index])
        kept = exact_ceil(density, scores.size)
        mask = topk_mask(scores, density).numpy()
        assert mask.sum() == kept
        assert mask.shape == scores.shape
        if golden_kept == kept:
            np.testing.assert_array_equal(mask, golden_mask)
        else:
            # The original counts in floats, which keeps one more at times.
            assert golden_kept == kept + 1
            extra = (golden_mask == 1) & (mask == 0)
            assert extra.sum() == 1
            assert not ((mask == 1) & (golden_mask == 0)).any()
            assert (
                np.abs(scores[extra]) == np.abs(scores[golden_mask == 1]).min()
            )

    def test_original_keeps_an_extra_entry_in_two_cases_only(self):
        extra = [
            (name, float(density))
            for name in GOLDEN_ARRAYS
            for index, density in enumerate(GOLDEN["densities"])
            if GOLDEN[f"{name}_kept"][index]
            != exact_ceil(density, GOLDEN[f"{name}_scores"].size)
        ]
        assert extra == [("vec", 0.9), ("dense", 0.9)]

    @pytest.mark.parametrize("name", ["tie", "allequal"])
    def test_kept_counts_with_ties(self, name):
        scores = GOLDEN[f"{name}_scores"]
        for density, golden_kept in zip(
            GOLDEN["densities"], GOLDEN[f"{name}_kept"], strict=True
        ):
            kept = exact_ceil(density, scores.size)
            assert golden_kept - kept in (0, 1)
            np.testing.assert_array_equal(
                topk_mask(scores, float(density)), sorted_mask(scores, kept)
            )

    @pytest.mark.parametrize("name", GOLDEN_ARRAYS)
    def test_kept_counts_of_a_float32_density_tensor(self, name):
        scores = GOLDEN[f"{name}_scores"]
        for density, kept in zip(
            GOLDEN["harp_densities_f32"],
            GOLDEN[f"harp_{name}_kept"],
            strict=True,
        ):
            mask = topk_mask(scores, tf.constant(density))
            assert np.sum(mask) == kept

    @pytest.mark.parametrize("name", GOLDEN_ARRAYS)
    @pytest.mark.parametrize("density", [1.0, 0.1])
    def test_straight_through_gradients(self, name, density):
        scores = tf.constant(GOLDEN[f"{name}_scores"])
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss = tf.reduce_sum(
                topk_mask(scores, density) * GOLDEN[f"{name}_upstream"]
            )
        gradient = tape.gradient(loss, scores)
        np.testing.assert_array_equal(gradient, GOLDEN[f"{name}_grad_scores"])
        # `vecodd` holds an exact zero.
        zeros = GOLDEN[f"{name}_scores"] == 0
        assert not gradient.numpy()[zeros].any()
        assert zeros.sum() == (1 if name == "vecodd" else 0)


# Few magnitudes, so that most arrays are full of ties; and every extreme.
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1e-40, 1e-38, 3.4e38]
SPECIAL += [math.inf, -math.inf, 0.5, -0.5, 1e-3]
ARRAYS = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=3, max_side=12),
    elements=st.one_of(
        st.sampled_from([np.float32(value) for value in SPECIAL]),
        st.floats(allow_nan=False, width=32),
    ),
    fill=st.sampled_from([np.float32(0), np.float32(-1)]),
)
DENSITIES = st.one_of(
    st.sampled_from([0.9, 0.5, 0.1, 0.05, 0.01, 1.0, 1e-6]),
    st.integers(1, 10_000).map(lambda each: each / 10_000),
)


class TestTopkMask:
    @hypothesis.settings(max_examples=80, deadline=None)
    @hypothesis.given(scores=ARRAYS, density=DENSITIES)
    def test_equals_a_stable_sort(self, scores, density):
        expected = sorted_mask(scores, exact_ceil(density, scores.size))
        mask = topk_mask(scores, density)
        assert mask.dtype == tf.float32
        np.testing.assert_array_equal(mask, expected)

    @pytest.mark.parametrize("dtype", DTYPES)
    @hypothesis.settings(max_examples=15, deadline=None)
    @hypothesis.given(seed=st.integers(0, 2**31), density=DENSITIES)
    def test_equals_a_stable_sort_in_every_dtype(self, dtype, seed, density):
        rng = np.random.default_rng(seed)
        # Half precision rounds many of these to the same number.
        scores = tf.cast(rng.normal(size=(rng.integers(1, 700),)), dtype)
        expected = sorted_mask(
            tf.cast(scores, tf.float64), exact_ceil(density, scores.shape[0])
        )
        mask = topk_mask(scores, density)
        assert mask.dtype == scores.dtype
        np.testing.assert_array_equal(tf.cast(mask, tf.float64), expected)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_every_half_precision_number_has_its_place(self, dtype):
        bits = np.arange(2**16, dtype=np.uint16)
        np.random.default_rng(0).shuffle(bits)
        scores = tf.bitcast(tf.constant(bits), dtype)
        scores = tf.boolean_mask(scores, ~tf.math.is_nan(scores))
        mask = topk_mask(scores, 0.37)
        expected = sorted_mask(
            tf.cast(scores, tf.float64), kept_count(0.37, scores.shape[0])
        )
        np.testing.assert_array_equal(tf.cast(mask, tf.float64), expected)

    def test_lower_flat_index_wins_a_tie(self):
        scores = np.full((3, 4), 2.0, np.float32)
        scores[0, 0] = 1.0
        np.testing.assert_array_equal(
            topk_mask(scores, 0.5),
            [[0, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 0]],
        )

    def test_negative_zero_ties_with_zero(self):
        np.testing.assert_array_equal(
            topk_mask([-0.0, 0.0, 0.0, -0.0], 0.5), [1, 1, 0, 0]
        )

    def test_denormals_are_told_apart(self):
        scores = np.array([0, 1e-45, -1e-40, 1e-42], np.float32)
        np.testing.assert_array_equal(topk_mask(scores, 0.5), [0, 0, 1, 1])

    def test_infinities_are_kept_first(self):
        scores = [3.4e38, -math.inf, 1.0, math.inf]
        np.testing.assert_array_equal(topk_mask(scores, 0.25), [0, 1, 0, 0])
        np.testing.assert_array_equal(topk_mask(scores, 0.5), [0, 1, 0, 1])

    def test_single_score_is_kept(self):
        assert topk_mask(tf.constant(0.0), 0.01) == 1.0
        np.testing.assert_array_equal(topk_mask([[-3.0]], 0.01), [[1]])

    @pytest.mark.parametrize("density", [0.001, 0.1, 0.9])
    def test_million_scores_equal_a_partition(self, density):
        scores = np.random.default_rng(1).normal(size=1_000_003)
        scores = scores.astype(np.float32)
        kept = exact_ceil(density, scores.size)
        magnitudes = np.abs(scores)
        threshold = np.partition(magnitudes, -kept)[-kept]
        mask = topk_mask(scores, density).numpy()
        assert mask.sum() == kept
        assert mask[magnitudes > threshold].all()
        assert not mask[magnitudes < threshold].any()
        # Of the scores at the threshold, the first are kept.
        tied = mask[magnitudes == threshold]
        assert (np.diff(tied) <= 0).all()

    def test_million_ties_keep_the_first(self):
        mask = topk_mask(tf.ones(1_000_003), 0.3).numpy()
        kept = exact_ceil(0.3, 1_000_003)
        assert mask[:kept].all()
        assert not mask[kept:].any()


class TestExecutionModes:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("levels", [3, 10_000])
    def test_function_equals_eager(self, dtype, levels):
        rng = np.random.default_rng(levels)
        scores = tf.cast(rng.integers(-levels, levels, (17, 23)) / 7, dtype)
        for density in (0.003, 0.5, 0.9, 1.0):
            in_function = tf.function(lambda s, d=density: topk_mask(s, d))
            np.testing.assert_array_equal(
                tf.cast(in_function(scores), tf.float32),
                tf.cast(topk_mask(scores, density), tf.float32),
            )

    def test_xla_equals_eager_with_and_without_ties(self):
        rng = np.random.default_rng(0)
        for scores in (
            rng.normal(size=(40, 30)),
            rng.integers(-2, 3, (40, 30)),  # takes the branch of ties
            np.zeros((40, 30)),
        ):
            scores = tf.cast(scores, tf.float32)
            # One compilation serves every density: it is a tensor.
            for density in (0.01, 0.5, 0.9, 1.0):
                np.testing.assert_array_equal(
                    compiled_mask(scores, tf.constant(density, tf.float64)),
                    topk_mask(scores, density),
                )

    def test_xla_compiles_once_for_all_values(self):
        """Slices at computed positions make XLA compile for each of them."""
        graph = compiled_mask.get_concrete_function(
            tf.TensorSpec((40, 30)), tf.TensorSpec((), tf.float64)
        ).graph
        nodes = [
            node
            for function in graph.as_graph_def().library.function
            for node in function.node_def
        ] + list(graph.as_graph_def().node)
        constants = {node.name for node in nodes if node.op == "Const"}
        slices = [node for node in nodes if node.op == "StridedSlice"]
        assert any(node.op == "DenseBincount" for node in nodes)
        for node in slices:
            for position in node.input[1:4]:
                assert position.split(":")[0] in constants

    def test_xla_turns_nan_scores_into_a_nan_mask(self):
        scores = tf.constant(np.full((40, 30), math.nan, np.float32))
        mask = compiled_mask(scores, tf.constant(0.5, tf.float64))
        assert np.isnan(mask).any()

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(
        ("density", "size"),
        [
            (0.9, 10),
            (0.01, 36_864),
            (0.3, 10),
            (1.0, 5),
            (1e-9, 5),
            (0.9, 1000),
        ],
    )
    def test_density_tensor_counts_like_a_number(self, dtype, density, size):
        scores = tf.range(size, dtype=tf.float32)
        mask = tf.function(topk_mask)
        kept = exact_ceil(density, size)
        assert np.sum(mask(scores, tf.constant(density, dtype))) == kept
        assert np.sum(topk_mask(scores, tf.constant(density, dtype))) == kept

    def test_density_may_be_a_variable(self):
        density = keras.Variable(0.3, dtype="float64", trainable=False)
        mask = tf.function(lambda: topk_mask(tf.range(10.0), density))
        assert np.sum(mask()) == 3
        density.assign(0.8)
        assert np.sum(mask()) == 8


class TestGradients:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_score_gradient_is_upstream_times_sign(self, dtype):
        scores = tf.constant([2.0, -3.0, 0.0, -0.5], dtype)
        upstream = tf.constant([1.0, 2.0, 4.0, 8.0], dtype)
        with tf.GradientTape() as tape:
            tape.watch(scores)
            loss = tf.reduce_sum(topk_mask(scores, 0.25) * upstream)
        gradient = tape.gradient(loss, scores)
        assert gradient.dtype == scores.dtype
        np.testing.assert_array_equal(
            tf.cast(gradient, tf.float32), [1, -2, 0, -8]
        )

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("in_function", [False, True])
    def test_density_gradient_is_the_sum_of_upstream(self, dtype, in_function):
        def gradients(scores, density, upstream):
            with tf.GradientTape() as tape:
                tape.watch([scores, density])
                loss = tf.reduce_sum(topk_mask(scores, density) * upstream)
            return tape.gradient(loss, [scores, density])

        if in_function:
            gradients = tf.function(gradients)
        to_scores, to_density = gradients(
            tf.constant([[2.0, -3.0], [0.0, -0.5]]),
            tf.constant(0.5, dtype),
            tf.constant([[1.0, 2.0], [4.0, -8.5]]),
        )
        assert to_density.dtype == dtype
        assert float(to_density) == -1.5
        np.testing.assert_array_equal(to_scores, [[1, -2], [0, 8.5]])


class TestErrors:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("nan", [math.nan, -math.nan])
    def test_nan_score_eagerly(self, dtype, nan):
        scores = tf.constant([1.0, nan, 2.0], dtype)
        with pytest.raises(InputError, match="`scores` holds a NaN"):
            topk_mask(scores, 0.5)

    def test_nan_score_in_a_function(self):
        mask = tf.function(lambda scores: topk_mask(scores, 0.5))
        with pytest.raises(tf.errors.InvalidArgumentError, match="holds a NaN"):
            mask(tf.constant([1.0, math.nan]))

    @pytest.mark.parametrize("density", [0.0, -1.0, 1.5, math.nan])
    def test_density_outside_its_range(self, density):
        scores = tf.ones(4)
        for value in (density, tf.constant(density, tf.float64)):
            with pytest.raises(InputError, match=r"must be in \(0, 1\]"):
                topk_mask(scores, value)
        with pytest.raises(tf.errors.InvalidArgumentError, match="density"):
            tf.function(topk_mask)(scores, tf.constant(density))

    def test_density_tensor_that_is_no_scalar_float(self):
        for density in (tf.constant([0.5]), tf.constant(1)):
            with pytest.raises(InputError, match="must be a scalar float"):
                topk_mask(tf.ones(4), density)

    def test_empty_scores(self):
        with pytest.raises(InputError, match="must not be empty"):
            topk_mask(tf.zeros((0, 3)), 0.5)

    def test_scores_of_unknown_shape(self):
        mask = tf.function(
            lambda scores: topk_mask(scores, 0.5),
            input_signature=[tf.TensorSpec([None])],
            autograph=False,
        )
        with pytest.raises(InputError, match="fully defined shape"):
            mask(tf.ones(4))

    @pytest.mark.parametrize("dtype", ["float64", "int32"])
    def test_scores_of_another_dtype(self, dtype):
        with pytest.raises(TypeError, match=f"Received: dtype={dtype}"):
            topk_mask(tf.ones(4, dtype), 0.5)


class TestMaskOfCount:
    @pytest.mark.parametrize("count", [1, 2, 7, 12])
    def test_equals_the_mask_of_the_density(self, count):
        scores = tf.constant([3.0, -1.0, 1.0, 0.0, 5.0, -3.0] * 2)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(scores)
            mask = mask_of_count(scores, tf.constant(count, tf.int64))
            wanted = topk_mask(scores, count / 12)
        np.testing.assert_array_equal(mask, sorted_mask(scores, count))
        np.testing.assert_array_equal(
            tape.gradient(mask, scores), tape.gradient(wanted, scores)
        )

    @pytest.mark.parametrize(("count", "kept"), [(0, 1), (-3, 1), (13, 12)])
    def test_counts_out_of_range_are_the_nearest(self, count, kept):
        mask = mask_of_count(tf.range(12, dtype=tf.float32), tf.constant(count))
        assert np.sum(mask) == kept
