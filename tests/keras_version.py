"""What tests leave out where Keras is 3.12, the last for Python 3.10."""

import keras
import pytest

_IS_NEW = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15)

needs_new_keras = pytest.mark.skipif(
    not _IS_NEW, reason=f"Keras {keras.__version__} lacks it, or is faulty"
)
# Whether activity regularisers take the mean of a batch, not its sum.
MEAN_ACTIVITY = _IS_NEW
# Arguments of attention in groups.
GATE = {"use_gate": True} if _IS_NEW else {}
