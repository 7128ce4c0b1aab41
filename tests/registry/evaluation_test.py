"""The rows of an evaluation are its settings, with their defaults."""

import dataclasses

import pytest

from hydra_tf import evaluation
from hydra_tf.registry.evaluation import CERTIFICATION
from hydra_tf.registry.evaluation import EVALUATION
from hydra_tf.registry.evaluation import EVALUATION_SMOOTHING


@pytest.mark.parametrize(
    ("settings", "rows", "further"),
    [
        (evaluation.EvaluationSettings, EVALUATION, {"smoothing"}),
        (evaluation.SmoothingSettings, EVALUATION_SMOOTHING, set()),
        (evaluation.CertificationSettings, CERTIFICATION, set()),
    ],
)
def test_settings_have_the_defaults_of_the_rows(settings, rows, further):
    fields = {
        field.name: field.default for field in dataclasses.fields(settings)
    }
    assert set(fields) == {row.name for row in rows} | further
    for row in rows:
        assert fields[row.name] == row.default
