"""Averages and perturbations of weights that cannot be."""

import hydra_tf as ht


def train(given, phase="pretrain", network=None, **settings):
    """Trains a phase with what is right but for the settings."""
    return ht.training.run_phase(
        network or given.network(),
        phase,
        (given.images, given.labels),
        given.objective(),
        folder=given.folder / "run",
        **{"epochs": 2} | settings,
    )


def prune(given, **settings):
    return ht.prune(
        given.network(),
        (given.images, given.labels),
        given.objective(),
        folder=given.folder / "run",
        **{"prune_epochs": 1, "finetune_epochs": 1} | settings,
    )


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "weights_averaged_for_good": (
        lambda given: train(given, weight_averaging=1.0),
        ["`weight_averaging`", "[0, 1)", "1.0"],
    ),
    "weights_averaged_in_per_cent": (
        lambda given: train(given, weight_averaging=99),
        ["`weight_averaging`", "[0, 1)", "99"],
    ),
    "weights_averaged_by_name": (
        lambda given: train(given, weight_averaging="ema"),
        ["`weight_averaging`", "a number", "'ema'"],
    ),
    "weights_averaged_true": (
        lambda given: ht.RobustModel(
            given.network(), given.objective(), weight_averaging=True
        ),
        ["`weight_averaging`", "True"],
    ),
    "weights_perturbed_the_other_way": (
        lambda given: train(given, weight_perturbation=-0.005),
        ["`weight_perturbation`", "[0, 1)", "-0.005"],
    ),
    "weights_perturbed_where_scores_train": (
        lambda given: train(
            given, "prune", given.masked(), weight_perturbation=0.005
        ),
        ["`weight_perturbation`=0.005", "no weights train"],
    ),
    "weights_perturbed_after_the_phase": (
        lambda given: train(
            given, weight_perturbation=0.005, perturbation_warmup=2
        ),
        ["`perturbation_warmup`=2", "less than the 2 epochs of the pretrain"],
    ),
    "weights_not_perturbed_after_a_warm_up": (
        lambda given: prune(given, perturbation_warmup=1),
        ["`perturbation_warmup`=1", "without `weight_perturbation`"],
    ),
    "weights_perturbed_by_a_number": (
        lambda given: ht.RobustModel(
            given.network(), given.objective(), perturbation=0.005
        ),
        ["`perturbation`", "hydra_tf.training.Perturbation", "0.005"],
    ),
    "weights_perturbed_by_nothing": (
        lambda given: ht.training.Perturbation(),
        ["`weights` or `scores` must be above 0"],
    ),
    "weights_and_scores_that_do_not_train": (
        lambda given: prune(given, method="snip", score_perturbation=0.01),
        ["`score_perturbation=0.01`", "snip trains no scores"],
    ),
    "weights_of_s2ap_misspelt": (
        lambda given: prune(given, method="sap"),
        ["`method`", "s2ap"],
    ),
}

_PRETRAIN = "pretrain --model=digits_model --epochs=2 "

# Name: a command line, in which {folder} is an empty folder; and the words.
COMMANDS = {
    "weights_averaged_in_per_cent": (
        _PRETRAIN + "--weight_averaging=99",
        ["--weight_averaging", "[0, 1)", "99"],
    ),
    "weights_averaged_by_the_name_of_keras": (
        _PRETRAIN + "--ema_momentum=0.99",
        ["ema_momentum"],
    ),
    "weights_perturbed_by_as_much": (
        _PRETRAIN + "--weight_perturbation=1",
        ["--weight_perturbation", "[0, 1)"],
    ),
    "weights_perturbed_after_the_phase": (
        _PRETRAIN + "--weight_perturbation=0.01 --perturbation_warmup=2",
        ["--perturbation_warmup=2", "less than the 2 epochs"],
    ),
    "weights_and_scores_that_do_not_train": (
        "pipeline --model=digits_model --method=lwm --score_perturbation=0.01",
        ["--score_perturbation=0.01", "lwm trains no scores"],
    ),
    "weights_of_s2ap_that_are_not_perturbed": (
        "pipeline --model=digits_model --method=s2ap --score_perturbation=0",
        ["--score_perturbation=0", "s2ap perturbs", "--method=hydra"],
    ),
}
