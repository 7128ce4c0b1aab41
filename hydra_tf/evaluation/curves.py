"""Security curves: robust accuracy over the radius, from distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from hydra_tf.errors import InputError

# A curve has a point at every tenth of the radius of the evaluation, up to
# four times that.
_POINTS_PER_EPSILON = 10
_LARGEST = 4


def security_curve(distances: Any, radii: Any) -> np.ndarray:
    """Returns the robust accuracy at each radius.

    Args:
        distances: Floats >= 0, how far each image is from the nearest
            perturbation that was found to turn it: 0 where the network gets
            the image itself wrong, infinity where none was found.
        radii: Floats >= 0.

    Returns:
        Float64 array: the share of the images farther than each radius. It
        never rises with the radius; at 0 it is the natural accuracy.

    Raises:
        InputError: If there are no distances, or one of them or of the radii
            is negative or nan.

    Example:

    >>> security_curve([0.0, 0.1, 0.3, np.inf], radii=[0, 0.1, 0.2, 1])
    array([0.75, 0.5 , 0.5 , 0.25])
    """
    distances = _checked("distances", distances)
    radii = _checked("radii", radii)
    if not len(distances):
        raise InputError("`distances` must hold that of one image or more")
    return np.mean(distances > radii[:, np.newaxis], axis=1)


def curve_of(
    distances: np.ndarray, epsilon: float, threat_model: str
) -> dict[str, Any]:
    """Returns the curve of an attack, as `metrics.json` holds it.

    Args:
        distances: As for `security_curve`.
        epsilon: Float >= 0, the radius of the evaluation, which is a point of
            the curve. Evaluations of equal radius have equal points.
        threat_model: The norm.

    Returns:
        `radii`, the `robust_accuracy` at each, and `median_distance`: the
        radius within which half of the images fall, `None` if fewer do.
    """
    steps = np.arange(_LARGEST * _POINTS_PER_EPSILON + 1)
    radii = epsilon * (steps / _POINTS_PER_EPSILON)
    if threat_model == "linf":
        # No two images are farther apart.
        radii = radii[radii <= 1]
    radii = np.unique(radii)
    median = float(np.median(distances))
    return {
        "radii": radii.tolist(),
        "robust_accuracy": security_curve(distances, radii).tolist(),
        "median_distance": median if np.isfinite(median) else None,
    }


def _checked(name: str, values: Any) -> np.ndarray:
    try:
        values = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim != 1 or not np.all(values >= 0):
        raise InputError(f"`{name}` must hold numbers >= 0, in one row")
    return values
