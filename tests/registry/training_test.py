"""The rows of training are its settings, with their defaults."""

import dataclasses
import inspect

from hydra_tf import training
from hydra_tf.registry import training as rows


def test_optimizer_has_the_defaults_of_its_rows():
    fields = dataclasses.fields(training.OptimizerSettings)
    assert {field.name: field.default for field in fields} == {
        row.name: row.default for row in rows.OPTIMIZER
    }
    taken = inspect.signature(training.run_phase).parameters
    for row in rows.OPTIMIZER:
        assert taken[row.name].default == row.default


def test_execution_has_a_row_for_each_setting():
    fields = {each.name for each in dataclasses.fields(training.Execution)}
    names = {row.name for row in (*rows.EXECUTION, rows.PROGRESS)}
    assert fields == names | {"callbacks"}
