"""What the report says in words."""

from tests.trainers.reporting import folders
from trainers.reporting import networks
from trainers.reporting import runs
from trainers.reporting import summary


def read(folder):
    return runs.read([str(folder)])[0]


def test_names_figures_of_other_images(tmp_path):
    run = folders.write(tmp_path / "run")
    (setup,) = networks.setups(read(tmp_path))
    assert summary.dataset_line(setup) == "Measured on 40 test images."
    folders.evaluation(tmp_path / "later", run)
    (setup,) = networks.setups(read(tmp_path))
    assert summary.dataset_line(setup) == (
        "Measured on 40 test images, under autoattack and fmn on 80."
    )


def test_warnings_and_failed_checks_are_doubts(tmp_path):
    run = folders.write(tmp_path / "run")
    assert summary.doubts(read(tmp_path)) == []
    checks = [
        {"name": "black_box", "passed": False, "finding": "Square is stronger"},
        {"name": "noise", "passed": True, "finding": "it is weaker"},
    ]
    folders.evaluation(
        tmp_path / "later",
        run,
        sanity={"net": {"checks": checks}},
        warnings={"autoattack": ["gradients vanish"]},
    )
    assert summary.doubts(read(tmp_path)) == [
        "warning: run, finetune, autoattack: gradients vanish",
        "failed check: run, finetune, black box: Square is stronger",
    ]
