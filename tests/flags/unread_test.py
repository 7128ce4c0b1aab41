"""Flags that have no effect."""

import pytest
from absl import flags
from absl.testing import flagsaver

from trainers.training import settings


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("--beta=3", ""),
        ("--objective=madry --beta=3", "--beta"),
        ("--objective=madry --beta=3 --pretrain_objective=trades", ""),
        ("--objective=madry --epsilon=0.1 --threat_model=l2", ""),
        ("--objective=madry --schedule_length=3 --ramp=smoothed", "both"),
        ("--objective=ibp --schedule_length=3", ""),
        ("--sigma=0.5", "--sigma"),
        ("--sigma=0.5 --eval_certify=smoothing --eval_radii=0.1", ""),
        ("--eval_radii=0.1", "--eval_radii"),
        ("--eval_attacks=fgsm --eval_num_restarts=2", "--eval_num_restarts"),
        ("--eval_attacks=fgsm,pgd --eval_num_restarts=2", ""),
        ("--compression_gamma=0.1", "--compression_gamma"),
        ("--compression_gamma=0.1 --compare=harp", ""),
        ("--pruning_rounds=3", "--pruning_rounds"),
        ("--pruning_rounds=3 --multistep", ""),
        ("--density=0.3 --allocation=a.json", "--density"),
        ("--density=0.3", ""),
        ("--method=lwm --compare=lwm,random", "--compare=lwm"),
        ("--weight_perturbation=0.01 --perturbation_warmup=2", ""),
        ("--method=s2ap --perturbation_warmup=2", ""),
        (
            "--method=s2ap --multistep --perturbation_warmup=2",
            "--perturbation_warmup",
        ),
        ("--perturbation_warmup=2", "--perturbation_warmup"),
        ("--cluster_resolver=slurm", "--cluster_resolver"),
        ("--worker_timeout=9 --strategy=multi_worker", ""),
        ("--optimizer=adam --momentum=0.8", "--momentum"),
        ("--optimizer=rmsprop --momentum=0.8", ""),
        ("--warmup_learning_rate=0.1", "--warmup_learning_rate"),
        ("--warmup_learning_rate=0.1 --warmup_epochs=1", ""),
        ("--extra_fraction=0.4", "--extra_fraction"),
        ("--extra_fraction=0.4 --extra_data=digits", ""),
    ],
)
def test_flags_that_nothing_reads_are_named(arguments, names):
    names = {"both": "--ramp, --schedule_length"}.get(names, names)
    lines = parse_unread(arguments)
    assert lines == ([f"no effect in this run: {names}"] if names else [])


def parse_unread(arguments, phases=("pretrain", "prune")):
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments.split()])
        return settings.from_flags().unread(phases)


def test_weights_that_do_not_train_are_not_perturbed():
    flag = "--weight_perturbation=0.01"
    assert parse_unread(flag, ["prune"]) == [
        f"no effect in this run: {flag[:21]}"
    ]
    assert not parse_unread(f"{flag} --multistep", ["prune"])


def test_pretraining_alone_takes_recipes_with_settings_of_pruning():
    assert not parse_unread("--pruning_rounds=3", ["pretrain"])
