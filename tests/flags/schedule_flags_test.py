"""Flags of the ramps."""

import pytest

from hydra_tf.errors import InputError
from tests.flags.command_line import objective


@pytest.mark.parametrize("ramp, at_2", [("linear", 0.05), ("smoothed", None)])
def test_radius_ramps_up_between_epochs_of_pretraining(ramp, at_2):
    built, record = objective(
        "--objective=ibp",
        "--epsilon=0.2",
        "--schedule_start=1",
        "--schedule_length=4",
        f"--ramp={ramp}",
    )
    radii = [float(built.epsilon(epoch)) for epoch in (0, 1, 2, 5, 9)]
    assert radii[:2] == [0, 0]
    assert radii[2] == pytest.approx(at_2) if at_2 else 0 < radii[2] < 0.05
    assert radii[3:] == pytest.approx([0.2, 0.2])
    assert record == {
        "objective": "ibp",
        "epsilon": 0.2,
        "ramp": ramp,
        "schedule_start": 1.0,
        "schedule_length": 4.0,
    }


@pytest.mark.parametrize("phase", ["prune", "finetune"])
def test_later_phases_start_at_the_full_radius_unless_told(phase):
    built, record = objective("--objective=crown_ibp", phase=phase)
    assert built.epsilon == 2 / 255
    assert record[f"{phase}_schedule_length"] == 0
    built, _ = objective(
        "--objective=crown_ibp", f"--{phase}_schedule_length=3", phase=phase
    )
    assert float(built.epsilon(1.5)) == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    "name, length", [("ibp", 6), ("crown_ibp", 6), ("mixtrain", 2.5)]
)
def test_ramp_takes_the_recipe_s_share_of_pretraining(name, length):
    built, record = objective(f"--objective={name}")
    assert record["schedule_length"] == pytest.approx(length)
    assert built.epsilon.end_epoch == pytest.approx(length)
    built, record = objective(f"--objective={name}", "--schedule_length=0")
    assert built.epsilon == 2 / 255


def test_ramp_longer_than_its_phase_is_refused():
    with pytest.raises(InputError, match="within the 10 epochs of"):
        objective("--objective=ibp", "--schedule_length=11")
    with pytest.raises(InputError, match="^--finetune_schedule_length=20: "):
        objective(
            "--objective=ibp", "--finetune_schedule_length=20", phase="finetune"
        )
    # Objectives without a ramp do not read it.
    objective("--objective=trades", "--schedule_length=11")
