"""Groups over seeds: mean and deviation, and what is kept apart."""

import pytest

from tests.trainers.reporting import folders
from trainers.reporting import networks
from trainers.reporting import runs
from trainers.reporting import summary


def setups(folder):
    return networks.setups(runs.read([str(folder)])[0])


def test_seeds_are_one_group_with_mean_and_deviation(tmp_path):
    for seed, robust in enumerate((0.5, 0.6)):
        folders.write(tmp_path / f"h{seed}", seed=seed, robust=robust)
    folders.write(tmp_path / "lwm", "lwm", robust=0.4)
    (setup,) = setups(tmp_path)
    assert setup.name == "digits, digits_model, Linf 0.1"
    assert setup.attack == "pgd"
    assert [group.variant for group in setup.groups] == ["hydra", "lwm"]
    hydra, lwm = setup.groups
    statistic = hydra.robust("pgd")
    assert statistic.mean == pytest.approx(0.55)
    # Of the sample: half the difference, times the square root of 2.
    assert statistic.deviation == pytest.approx(0.05 * 2**0.5)
    assert str(statistic) == "55.0 ± 7.1 %"
    assert str(lwm.robust("pgd")) == "40.0 %"
    # The seed of lwm's pretraining is one of hydra's.
    assert len(setup.dense.networks) == 2
    assert summary.sentences(setup)[0] == (
        "With 10 % of the weights, hydra has 55.0 ± 7.1 % robust accuracy "
        "under pgd (2 seeds), 15.0 points more than lwm (40.0 %)."
    )


def test_other_settings_are_no_seeds(tmp_path):
    for seed, rate in enumerate((0.1, 0.2)):
        folders.write(
            tmp_path / f"run{seed}",
            seed=seed,
            flags=[f"--learning_rate={rate}", f"--output_dir=run{seed}"],
        )
    (setup,) = setups(tmp_path)
    assert setup.variants == [
        "hydra, learning rate 0.1",
        "hydra, learning rate 0.2",
    ]


def test_other_data_are_not_compared(tmp_path):
    folders.write(tmp_path / "one")
    folders.write(tmp_path / "two", dataset={"name": "svhn"})
    names = [setup.name for setup in setups(tmp_path)]
    assert [name.split(",")[0] for name in names] == ["digits", "svhn"]


def test_unfinished_network_is_in_no_group(tmp_path):
    folders.write(tmp_path / "run", run={"phase": "prune", "seed": 0})
    (setup,) = setups(tmp_path)
    assert not setup.groups
    assert len(setup.dense.networks) == 1


def test_later_evaluation_adds_its_attacks(tmp_path):
    run = folders.write(tmp_path / "run")
    folders.evaluation(tmp_path / "later", run)
    (setup,) = setups(tmp_path)
    figures = setup.groups[0].networks[0].figures
    assert figures.robust == {"pgd": 0.5, "autoattack": 0.25, "fmn": 0.3}
    assert figures.counts == {
        "natural": 40,
        "pgd": 40,
        "autoattack": 80,
        "fmn": 80,
    }
    assert figures.curves["fmn"]["radii"] == [0.0, 0.1, 0.2]
    assert setup.attack == "autoattack"


def test_radius_of_a_run_without_attacks_is_that_of_its_evaluation(tmp_path):
    alone = folders.phase(0.9, None, attacks={})
    run = folders.write(
        tmp_path / "run", phases={"finetune": {**alone, "epochs": 2}}
    )
    folders.evaluation(tmp_path / "later", run)
    (setup,) = setups(tmp_path)
    assert setup.name.endswith("Linf 0.1")
    assert setup.attack == "autoattack"


def test_interval_of_natural_accuracy_is_known(tmp_path):
    between = {"natural_accuracy": [0.8, 0.95]}
    entry = folders.phase(0.9, 0.6, intervals=between)
    folders.write(tmp_path / "run", phases={"finetune": entry})
    (setup,) = setups(tmp_path)
    figures = setup.groups[0].networks[0].figures
    assert figures.intervals == {"natural": (0.8, 0.95)}


def test_other_radius_has_a_name_of_its_own(tmp_path):
    run = folders.write(tmp_path / "run")
    folders.evaluation(
        tmp_path / "later",
        run,
        robust_accuracy={"pgd": 0.1},
        attacks={"pgd": {**folders.ATTACK, "epsilon": 0.3}},
        curves={},
    )
    (setup,) = setups(tmp_path)
    figures = setup.groups[0].networks[0].figures
    assert figures.robust == {"pgd": 0.5, "pgd at Linf 0.3": 0.1}


def test_pretraining_that_runs_share_counts_once(tmp_path):
    entry = {"pretrain": folders.phase(0.9, 0.6, checkpoint="0123")}
    for name, flags in (("cell", "--pretrain_epochs=2"), ("own", "--epochs=2")):
        folders.write(
            tmp_path / name, phases=entry, run={"seed": 0}, flags=[flags]
        )
    (setup,) = setups(tmp_path)
    assert len(setup.dense.networks) == 1


def test_networks_pretrained_differently_have_no_mean(tmp_path):
    for seed, epochs in ((0, 2), (1, 30)):
        folder = tmp_path / str(seed)
        folders.write(folder, seed=seed, flags=(f"--pretrain_epochs={epochs}",))
    (setup,) = setups(tmp_path)
    assert setup.dense is None
    assert setup.variants == [
        "hydra, pretrain epochs 2",
        "hydra, pretrain epochs 30",
    ]


def test_flag_that_a_run_does_not_read_tells_nothing(tmp_path):
    folders.write(tmp_path / "one", flags=("--allocation=uniform",))
    folders.write(tmp_path / "two", seed=1)
    (setup,) = setups(tmp_path)
    assert setup.variants == ["hydra"]
