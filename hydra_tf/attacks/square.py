"""Square Attack: random search without gradients.

A change is tried on a square of each image, and kept if the margin of the label
shrinks. An image that is misclassified is done: the network is queried for the
others only. Squares are drawn for every image by itself, so that the result for
an image does not depend on those beside it.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.attacked import Attacked
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.checks import check_has_squares
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.losses import margin
from hydra_tf.attacks.losses import misclassified
from hydra_tf.attacks.norms import norm
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.attacks.restarts import worst_of_restarts
from hydra_tf.ops.rows import choose
from hydra_tf.ops.rows import update_rows
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import NUM_QUERIES
from hydra_tf.registry.attacks import NUM_RESTARTS
from hydra_tf.registry.attacks import RESCALED
from hydra_tf.registry.attacks import THREAT_MODEL
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.objectives import CLIP

# The share of an image that a square covers: 0.8 at first, halved whenever this
# many queries out of 10,000 are done.
_FIRST_SHARE = 0.8
_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_SCHEDULE = 10_000

# Queries for which random numbers are drawn at a time, and after which images
# that are misclassified are left out.
_QUERIES_AT_A_TIME = 50


@tf.autograph.experimental.do_not_convert
@checked_call
def square(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None,
    *,
    epsilon: float,
    threat_model: str = "linf",
    num_queries: int = 5000,
    rescaled: bool = True,
    num_restarts: int = 1,
    seed: noise.Seed = None,
    indices: tf.Tensor | None = None,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Square Attack: random search that needs no gradient.

    It finds what gradients hide. Each query is a forward pass of the images
    that are not misclassified yet.

    * Linf: starts with vertical stripes; then a square of random place, in each
      channel of one random sign, is moved to the faces of the ball.
    * L2: starts with a grid of bumps; then what one square and the ball leave
      of the norm goes to a bump in another.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(batch, height, width, channels)`, within
            `clip`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`. None stands for
            the model's own predictions on `x`.
        epsilon: Float >= 0, radius of the ball; for Linf within the range of
            the images.
        threat_model: `"linf"` or `"l2"`.
        num_queries: Integer >= 1, changes that are tried on an image.
        rescaled: Whether the squares shrink in proportion to `num_queries`, to
            the smallest at the end; otherwise as if these were 10,000, as in
            AutoAttack.
        num_restarts: Integer >= 1, number of searches; of each image the worst
            result is kept, see `pgd`.
        seed: As in `pgd`.
        indices: As in `pgd`.
        clip: Least and largest value of a pixel, or `None` for no limits.

    Returns:
        Perturbed images, with shape and dtype of `x`; an image that the model
        gets wrong as it is, unchanged.

    Raises:
        InputError: If an argument is out of its range.

    Example:
    ```python
    x_adv = square(model, x, y, epsilon=8 / 255, num_queries=1000, seed=0)
    ```

    Reference:

    - [Andriushchenko et al., 2020](https://arxiv.org/abs/1912.00049)
    """
    THREAT_MODEL.check(threat_model)
    CLIP.check(clip)
    EPSILON.check_within(epsilon, threat_model, clip)
    NUM_QUERIES.check(num_queries)
    RESCALED.check(rescaled)
    NUM_RESTARTS.check(num_restarts)
    given = attacked(model, x, y, indices=indices, clip=clip)
    check_has_squares(tuple(given.images.shape))
    shape = given.images.shape[1:]
    moves = {"linf": _Squares, "l2": _Bumps}[threat_model](*shape)
    seed = noise.as_seed(seed)

    def search(restart):
        return _search(
            given,
            moves,
            lambda centre: given.ball(centre, epsilon, threat_model),
            num_queries,
            num_queries if rescaled else _SCHEDULE,
            restart_seed(seed, restart),
        )

    def outcome_of(x_adv):
        logits = given.logits_of(x_adv)
        return (
            misclassified(logits, given.labels),
            -margin(logits, given.labels),
        )

    def attack():
        if isinstance(num_restarts, int) and num_restarts == 1:
            return search(0)
        return worst_of_restarts(num_restarts, given.images, search, outcome_of)

    return given.finished(run_in_graph(model, attack))


def _search(
    given: Attacked, moves, ball_of, num_queries, schedule, seed
) -> tf.Tensor:
    """Returns the points with the least margin that a random search finds."""
    rows = tf.shape(given.images)[0]

    def draw(number, indices, count):
        """Returns uniform numbers in [-1, 1), shape `(images, count)`."""
        template = tf.zeros([tf.shape(indices)[0], count])
        return noise.uniform_like(
            template, noise.fold_seed(seed, number), indices
        )

    def begin(images, labels, indices, *_):
        draws = draw(0, indices, moves.num_start_draws)
        start = moves.start(ball_of(images), draws)
        logits = given.logits_of(start)
        right = tf.logical_not(misclassified(logits, labels))
        return start, margin(logits, labels), right

    def try_some(number, images, labels, indices, *state):
        ball = ball_of(images)
        draws = draw(number + 1, indices, _QUERIES_AT_A_TIME * moves.num_draws)
        draws = tf.reshape(draws, [-1, _QUERIES_AT_A_TIME, moves.num_draws])
        first = number * _QUERIES_AT_A_TIME
        last = tf.minimum(first + _QUERIES_AT_A_TIME, num_queries)

        def try_once(query, best, least, robust):
            halved = halvings(query, schedule)
            tried = moves.move(ball, best, halved, draws[:, query - first])
            logits = given.logits_of(tried)
            reached = margin(logits, labels)
            broken = misclassified(logits, labels)
            better = robust & (broken | (reached < least))
            return (
                query + 1,
                choose(better, tried, best),
                tf.where(better, reached, least),
                robust & ~broken,
            )

        return tf.while_loop(
            lambda query, *_: query < last,
            try_once,
            (first, *state),
            parallel_iterations=1,
        )[1:]

    constants = (given.images, given.labels, given.indices)

    def try_survivors(number, best, least, robust):
        return number + 1, *update_rows(
            robust,
            lambda *parts: try_some(number, *parts),
            (best, least, robust),
            constants,
        )

    num_queries = tf.cast(num_queries, tf.int32)
    state = update_rows(
        given.right,
        begin,
        (given.images, tf.zeros([rows]), given.right),
        constants,
    )
    _, best, _, _ = tf.while_loop(
        lambda number, best, least, robust: tf.logical_and(
            number * _QUERIES_AT_A_TIME < num_queries, tf.reduce_any(robust)
        ),
        try_survivors,
        (tf.constant(0), *state),
        parallel_iterations=1,
    )
    return ball_of(given.images).finish(best)


def halvings(query: int | tf.Tensor, num_queries: int | tf.Tensor) -> tf.Tensor:
    """Returns how often the share of a square was halved before a query.

    Args:
        query: Integer, the number of the query, from 0.
        num_queries: Integer, the number of all by the schedule.
    """
    scaled = tf.cast(query, tf.int64) * _SCHEDULE
    scaled //= tf.cast(num_queries, tf.int64)
    return tf.math.count_nonzero(
        scaled > tf.constant(_HALVED_AT, tf.int64), dtype=tf.int32
    )


def sides(height: int, width: int) -> list[int]:
    """Returns the side of a square after 0, 1, ... halvings of its share."""
    shares = [_FIRST_SHARE / 2**k for k in range(len(_HALVED_AT) + 1)]
    found = [round((share * height * width) ** 0.5) for share in shares]
    return [min(max(side, 1), height, width) for side in found]


def bump(side: int) -> np.ndarray:
    """Returns a change of a square with unit L2 norm: one peak up, one down.

    Args:
        side: Integer >= 1.
    """
    half = side // 2
    lower = -_peak(side - half, side)
    if not half:
        return lower
    return np.concatenate([_peak(half, side), lower]) / np.float32(2**0.5)


def _peak(height: int, width: int) -> np.ndarray:
    """Returns nested rectangles with unit L2 norm, the inner ones higher.

    Args:
        height: Integer >= 1.
        width: Integer >= `height`.
    """
    reach = width // 2
    rows = np.abs(np.arange(height) - height // 2)[:, None]
    columns = np.abs(np.arange(width) - width // 2)[None, :]
    inside = reach - np.maximum(rows, columns)
    heights = np.cumsum(1.0 / (reach + 1.0 - np.arange(reach + 1)) ** 2)
    peak = heights[inside]
    return (peak / np.linalg.norm(peak)).astype(np.float32)


class _Windows:
    """Squares of random places in images of one shape."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.height, self.width, self.channels = height, width, channels

    def corners(self, draws: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
        """Returns the first row and column of random squares.

        Args:
            draws: Uniform in [-1, 1), shape `(images, 2)`.
            side: Integer scalar.
        """
        # As in the authors' program, by which figures are compared, a square
        # leaves out the last row and column, unless it fills the image.
        places = tf.maximum(tf.stack([self.height, self.width]) - side, 1)
        corners = tf.cast(
            (draws + 1.0) / 2.0 * tf.cast(places, tf.float32), tf.int32
        )
        return tf.minimum(corners, places - 1)

    def pixels(self, corners: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
        """Returns which pixels of a batch are in squares, one of each image.

        Returns:
            Integers of shape `(images, side, side)`, which count the pixels of
            all images.
        """
        along = tf.range(side)
        rows = corners[:, 0, None, None] + along[:, None]
        columns = corners[:, 1, None, None] + along
        image = tf.range(tf.shape(corners)[0])[:, None, None]
        return (image * self.height + rows) * self.width + columns

    def take(self, images: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
        """Returns pixels of images, shape `(images, side, side, channels)`."""
        return tf.gather(tf.reshape(images, [-1, self.channels]), pixels)

    def put(self, images, pixels, values) -> tf.Tensor:
        """Returns images with other values of some pixels."""
        replaced = tf.tensor_scatter_nd_update(
            tf.reshape(images, [-1, self.channels]), pixels[..., None], values
        )
        return tf.reshape(
            replaced, [-1, self.height, self.width, self.channels]
        )


class _Squares(_Windows):
    """The moves in the maximum norm: squares at the faces of the ball."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__(height, width, channels)
        self.sides = tf.constant(sides(height, width))
        self.num_start_draws = width * channels
        self.num_draws = 2 + channels

    def start(self, ball: Ball, draws: tf.Tensor) -> tf.Tensor:
        """Returns images with vertical stripes."""
        signs = tf.reshape(draws, [-1, 1, self.width, self.channels])
        return tf.where(signs < 0, ball.lower, ball.upper)

    def move(self, ball, x_adv, halvings, draws):
        """Returns points with another square."""
        side = self.sides[halvings]
        pixels = self.pixels(self.corners(draws[:, :2], side), side)
        face = tf.where(
            draws[:, None, None, 2:] < 0,
            self.take(ball.lower, pixels),
            self.take(ball.upper, pixels),
        )
        return self.put(x_adv, pixels, face)


class _Bumps(_Windows):
    """The moves in the L2 norm: bumps, which share the norm of the ball."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__(height, width, channels)
        # Odd, so that a bump has a middle.
        self.each_side = [
            min(max(side, 3) // 2 * 2 + 1, height, width)
            for side in sides(height, width)
        ]
        self.sides = tf.constant(self.each_side)
        largest = max(self.each_side)
        self.bumps = tf.constant(
            np.stack(
                [
                    np.pad(bump(side), (0, largest - side))
                    for side in self.each_side
                ]
            )
        )
        self.start_side = max(min(height, width) // 5, 1)
        self.grid = (height // self.start_side, width // self.start_side)
        self.num_start_draws = self.grid[0] * self.grid[1] * (1 + channels)
        self.num_draws = 5 + channels

    def start(self, ball: Ball, draws: tf.Tensor) -> tf.Tensor:
        """Returns images with a grid of bumps, each of random signs."""
        draws = tf.reshape(draws, [-1, *self.grid, 1 + self.channels])
        draws = tf.repeat(draws, self.start_side, axis=1)
        draws = tf.repeat(draws, self.start_side, axis=2)
        tile = np.tile(bump(self.start_side), self.grid)
        turned = np.tile(bump(self.start_side).T, self.grid)
        delta = tf.sign(draws[..., 1:]) * tf.where(
            draws[..., :1] < 0, turned[..., None], tile[..., None]
        )
        spare = (
            self.height - delta.shape[1],
            self.width - delta.shape[2],
        )
        around = [[each // 2, each - each // 2] for each in spare]
        return _scaled(ball, tf.pad(delta, [[0, 0], *around, [0, 0]]))

    def move(self, ball, x_adv, halvings, draws):
        """Returns points of which a square gave its norm to another."""
        side = self.sides[halvings]
        to, taken = (
            self.corners(draws[:, each], side)
            for each in (slice(0, 2), slice(2, 4))
        )
        to_pixels, taken_pixels = (
            self.pixels(each, side) for each in (to, taken)
        )
        delta = x_adv - ball.centre
        kept = self.take(delta, to_pixels)
        given_up = self.take(delta, taken_pixels)
        # What both squares hold is counted once.
        given_up = tf.where(self._shared(taken - to, side), 0.0, given_up)
        turned = draws[:, 4, None, None] < 0
        tile = self.bumps[halvings][:side, :side]
        tile = tf.where(turned, tf.transpose(tile), tile)[..., None]
        signs = tf.where(draws[:, None, None, 5:] < 0, -1.0, 1.0)
        length = _channel_norm(kept)
        change = signs * tile + tf.math.divide_no_nan(kept, length)
        # Below zero if rounding took the norm out of the ball.
        unused = tf.square(ball.epsilon) - tf.reduce_sum(
            tf.square(delta), axis=[1, 2, 3], keepdims=True
        )
        available = tf.sqrt(
            tf.nn.relu(
                tf.square(length)
                + tf.square(_channel_norm(given_up))
                + unused / self.channels
            )
        )
        change *= tf.math.divide_no_nan(available, _channel_norm(change))
        delta = self.put(delta, taken_pixels, tf.zeros_like(given_up))
        delta = self.put(delta, to_pixels, change)
        # Squares and ball have shared the norm: it is that of the ball.
        return tf.raw_ops.ClipByValue(
            t=ball.centre + delta,
            clip_value_min=ball.clip[0],
            clip_value_max=ball.clip[1],
        )

    @staticmethod
    def _shared(shift: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
        """Returns which pixels of squares lie in others, moved by `-shift`."""
        along = tf.range(side)
        rows, columns = (
            (at >= 0) & (at < side)
            for at in (along + shift[:, axis, None] for axis in (0, 1))
        )
        return (rows[:, :, None] & columns[:, None, :])[..., None]


def _channel_norm(x: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=[1, 2], keepdims=True))


def _scaled(ball: Ball, delta: tf.Tensor) -> tf.Tensor:
    """Returns the points on the sphere in a direction, clipped to the range."""
    length = norm(delta, "l2", keepdims=True)
    delta *= tf.math.divide_no_nan(ball.epsilon, length)
    return ball.finish(ball.centre + delta)
