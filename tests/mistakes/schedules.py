"""How a training goes and ends: learning rates, early stopping, CutMix."""

import hydra_tf as ht


def pipeline(given, **settings):
    settings = {"batch_size": 4} | settings
    return ht.data.from_arrays(given.images, given.labels, **settings)


def train(given, **settings):
    """Trains a phase with what is right but for the settings."""
    settings = {"validation": (given.images[:4], given.labels[:4])} | settings
    return ht.training.run_phase(
        given.network(),
        "pretrain",
        pipeline(given),
        given.objective(),
        epochs=2,
        folder=given.folder / "run",
        **settings,
    )


# Name: a function of a `Given`, and words of the message.
PYTHON = {
    "schedules_one_cycle_in_one_word": (
        lambda given: train(given, lr_schedule="onecycle"),
        ["`lr_schedule`", "Did you mean 'one_cycle'"],
    ),
    "schedules_one_cycle_that_warms_up_for_all_its_epochs": (
        lambda given: train(given, lr_schedule="one_cycle", warmup_epochs=2),
        ["`warmup_epochs`=2 must be less than the 2 epochs"],
    ),
    "schedules_one_cycle_beside_an_optimizer_of_keras": (
        lambda given: train(
            given,
            optimizer=ht.training.SGD(0.1),
            lr_schedule="one_cycle",
        ),
        ["`lr_schedule`=one_cycle has no effect beside a Keras optimiser"],
    ),
    "schedules_patience_below_0": (
        lambda given: train(given, patience=-1),
        ["`patience`", "a whole number >= 0", "patience=-1"],
    ),
    "schedules_patience_of_half_an_epoch": (
        lambda given: train(given, patience=0.5),
        ["`patience`", "a whole number >= 0", "0.5"],
    ),
    "schedules_patience_true": (
        lambda given: train(given, patience=True),
        ["`patience`", "True"],
    ),
    "schedules_patience_for_nothing": (
        lambda given: train(given, patience=3, validation=None),
        ["`patience`=3 needs `validation`", "split_validation"],
    ),
    "schedules_patience_for_nothing_in_the_course": (
        lambda given: ht.prune(
            given.network(), pipeline(given), given.objective(), 0.5, patience=3
        ),
        ["`patience`=3 needs `validation`", "split_validation"],
    ),
    "schedules_patience_by_images_that_are_mixed": (
        lambda given: train(
            given, patience=3, validation=pipeline(given, cutmix=0.5)
        ),
        ["`validation` must not be augmented", "training=False"],
    ),
    "schedules_cutmix_in_per_cent": (
        lambda given: pipeline(given, cutmix=50),
        ["`cutmix` must be a number in [0, 1]", "50 % is 0.5"],
    ),
    "schedules_cutmix_true": (
        lambda given: pipeline(given, cutmix=True),
        ["`cutmix`", "[0, 1]", "True"],
    ),
    "schedules_cutmix_of_test_images": (
        lambda given: ht.data.load("digits", "test", batch_size=4, cutmix=1.0),
        ["`cutmix` must be 0", "`training`=True"],
    ),
    "schedules_cutmix_of_single_images": (
        lambda given: pipeline(given, batch_size=1, cutmix=1.0),
        ["`cutmix`=1", "`batch_size` must be 2 or more"],
    ),
}

_PRETRAIN = "pretrain --model=digits_model --epochs=2 "

# Name: a command line, and words of the message.
COMMANDS = {
    "schedules_one_cycle_in_one_word": (
        _PRETRAIN + "--lr_schedule=onecycle",
        ["--lr_schedule", "one_cycle"],
    ),
    "schedules_patience_for_nothing": (
        _PRETRAIN + "--patience=3",
        ["--patience=3 needs --validation_fraction", "0.1"],
    ),
    "schedules_patience_below_0": (
        _PRETRAIN + "--validation_fraction=0.1 --patience=-1",
        ["--patience", ">= 0"],
    ),
    "schedules_patience_in_words": (
        _PRETRAIN + "--patience=long",
        ["--patience", "long"],
    ),
    "schedules_cutmix_in_per_cent": (
        _PRETRAIN + "--cutmix=50",
        ["--cutmix", "[0, 1]", "50 % is 0.5"],
    ),
    "schedules_cutmix_without_a_value": (
        _PRETRAIN + "--cutmix",
        ["cutmix"],
    ),
    "schedules_cutmix_of_single_images": (
        _PRETRAIN + "--cutmix=0.5 --batch_size=1",
        ["--cutmix=0.5", "--batch_size must be 2 or more"],
    ),
}
