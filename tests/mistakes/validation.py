"""Settings of training, and of what watches it, that are none."""

import numpy as np

import hydra_tf as ht


def pipeline(given, **settings):
    settings = {"batch_size": 4} | settings
    return ht.data.from_arrays(given.images, given.labels, **settings)


def split(given, fraction, **settings):
    return ht.data.split_validation(pipeline(given, **settings), fraction)


def train(given, phase="pretrain", network=None, data=None, **settings):
    """Trains a phase with what is right but for the settings."""
    return ht.training.run_phase(
        network or given.network(),
        phase,
        pipeline(given) if data is None else data,
        given.objective(),
        folder=given.folder / "run",
        **{"epochs": 2} | settings,
    )


def watched(given, validation, **settings):
    return train(given, validation=validation, **settings)


def validate_on_what_trains(given):
    same = (given.images, given.labels)
    return watched(given, same, data=same)


def other_images(given):
    images = np.zeros((4, 8, 8, 1), np.float32)
    return ht.data.from_arrays(images, given.labels[:4], batch_size=4)


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "validation_fraction_in_per_cent": (
        lambda given: split(given, 20),
        ["`validation_fraction`", "[0, 1)", "validation_fraction=20"],
    ),
    "validation_fraction_of_all": (
        lambda given: split(given, 1.0),
        ["`validation_fraction`", "[0, 1)"],
    ),
    "validation_fraction_of_nothing": (
        lambda given: split(given, 0),
        ["`validation_fraction` must be above 0"],
    ),
    "validation_fraction_as_text": (
        lambda given: split(given, "0.1"),
        ["`validation_fraction`", "a number", "'0.1'"],
    ),
    "validation_fraction_that_leaves_no_batch": (
        lambda given: split(given, 0.9),
        ["of 12 images leaves 1", "less than `batch_size`=4"],
    ),
    "validation_split_of_arrays": (
        lambda given: ht.data.split_validation(
            (given.images, given.labels), 0.2
        ),
        ["`train`", "from_arrays", "tuple"],
    ),
    "validation_on_what_trains": (
        validate_on_what_trains,
        ["`validation` must be other images", "split_validation"],
    ),
    "validation_on_augmented_images": (
        lambda given: watched(
            given, pipeline(given, augment=ht.data.CropFlip())
        ),
        ["`validation` must not be augmented", "training=False"],
    ),
    "validation_on_images_of_another_size": (
        lambda given: watched(given, other_images(given)),
        ["`validation`", "(4, 4, 1)", "(8, 8, 1)"],
    ),
    "validation_as_a_fraction": (
        lambda given: watched(given, 0.1),
        ["`validation` must be a hydra_tf.data.Pipeline", "float"],
    ),
    "validation_without_end": (
        lambda given: watched(given, given.dataset().repeat()),
        ["`validation` must be a dataset with an end", "repeat"],
    ),
    "validation_on_pixels_up_to_255": (
        lambda given: watched(given, (255 * given.images, given.labels)),
        ["`images` must lie in [0, 1]"],
    ),
    "validation_with_too_few_labels": (
        lambda given: watched(given, (given.images, given.labels[:5])),
        ["`labels`", "(12,)", "(5,)"],
    ),
    "validation_selects_nothing_known": (
        lambda given: train(given, select="first"),
        ["`select`", "'best'", "'first'"],
    ),
    "validation_selects_the_best_of_nothing": (
        lambda given: train(given, select="best"),
        ["`select`='best' needs `validation`", "split_validation"],
    ),
    "validation_attack_by_name": (
        lambda given: train(given, validation_attack="pgd"),
        ["`validation_attack` must be an objective", "'pgd'"],
    ),
    "validation_attack_that_is_a_class": (
        lambda given: train(given, validation_attack=ht.objectives.Madry),
        ["`validation_attack` must be an objective", "Madry()"],
    ),
    "validation_of_a_phase_of_another_name": (
        lambda given: train(given, "training"),
        ["`phase`", "'pretrain'", "'training'"],
    ),
    "validation_epochs_below_0": (
        lambda given: train(given, epochs=-1),
        ["`epochs`", "epochs=-1"],
    ),
    "validation_epochs_that_are_a_fraction": (
        lambda given: train(given, epochs=2.5),
        ["`epochs`", "whole number", "2.5"],
    ),
    "validation_epochs_as_text": (
        lambda given: train(given, epochs="10"),
        ["`epochs`", "'10'"],
    ),
    "validation_epochs_true": (
        lambda given: train(given, epochs=True),
        ["`epochs`", "True"],
    ),
    "validation_warm_up_without_end": (
        lambda given: train(given, warmup_epochs=2),
        ["`warmup_epochs`=2 must be less than the 2 epochs"],
    ),
    "validation_warm_up_at_rate_0": (
        lambda given: train(given, warmup_epochs=1, warmup_learning_rate=0.0),
        ["`warmup_learning_rate`", "> 0"],
    ),
    "validation_learning_rate_below_0": (
        lambda given: train(given, learning_rate=-0.1),
        ["`learning_rate`", "-0.1"],
    ),
    "validation_learning_rate_nan": (
        lambda given: train(given, learning_rate=float("nan")),
        ["`learning_rate`", "nan"],
    ),
    "validation_schedule_misspelt": (
        lambda given: train(given, lr_schedule="cosin"),
        ["`lr_schedule`", "'cosine'"],
    ),
    "validation_schedule_that_ends_before_it_starts": (
        lambda given: ht.schedules.LinearRamp(5, 2, 0.0, 0.1),
        ["`end_epoch` must be later than `start_epoch`"],
    ),
    "validation_schedule_as_text": (
        lambda given: ht.objectives.IBP(epsilon="linear"),
        ["`epsilon` must be a number or a schedule", "'linear'"],
    ),
    "validation_optimizer_unknown": (
        lambda given: train(given, optimizer="adamw"),
        ["`optimizer`", "'adam'"],
    ),
    "validation_momentum_above_1": (
        lambda given: train(given, momentum=9),
        ["`momentum`", "[0, 1)"],
    ),
    "validation_weight_decay_below_0": (
        lambda given: train(given, weight_decay=-1e-4),
        ["`weight_decay`", ">= 0"],
    ),
    "validation_gradient_clipping_below_0": (
        lambda given: train(given, gradient_clipping=-1.0),
        ["`gradient_clipping`", ">= 0"],
    ),
    "validation_precision_of_keras": (
        lambda given: train(given, precision="float16"),
        ["`precision`", "'mixed_float16'"],
    ),
    "validation_strategy_unknown": (
        lambda given: train(given, strategy="tpus"),
        ["`strategy`", "'mirrored'"],
    ),
    "validation_jit_compile_true": (
        lambda given: train(given, jit_compile=True),
        ["`jit_compile`", "'on'"],
    ),
    "validation_progress_true": (
        lambda given: train(given, progress=True),
        ["`progress`", "'epochs'"],
    ),
    "validation_more_steps_per_execution_than_steps": (
        lambda given: train(given, steps_per_execution=100),
        ["`steps_per_execution`=100 must divide 3"],
    ),
    "validation_on_pixels_of_255": (
        lambda given: train(
            given, validation=given.dataset().map(lambda x, y: (255 * x, y))
        ),
        ["`images of validation` must lie in [0, 1]", "by 255"],
    ),
    "validation_on_more_classes": (
        lambda given: train(given, validation=(given.images, given.labels + 1)),
        ["`validation` must hold classes from 0 to 2", "4 classes"],
    ),
    "validation_seed_below_0": (
        lambda given: train(given, seed=-1),
        ["`seed`", "-1"],
    ),
    "validation_callback_that_is_no_list": (
        lambda given: train(given, callbacks=ht.training.BestWeights()),
        ["`callbacks`", "list", "BestWeights"],
    ),
    "validation_callback_that_is_a_function": (
        lambda given: train(given, callbacks=[print]),
        ["`callbacks`", "keras.callbacks.Callback", "print"],
    ),
    "validation_training_on_three_arrays": (
        lambda given: train(
            given, data=(given.images, given.labels, given.labels)
        ),
        ["`train`", "pair of arrays"],
    ),
    "validation_training_on_a_generator": (
        lambda given: train(given, data=iter(given.dataset())),
        ["`train`", "tf.data.Dataset"],
    ),
}

_PRETRAIN = "pretrain --model=digits_model --epochs=2 "
_PIPELINE = "pipeline --model=digits_model "

# Name: a command line, in which {folder} is an empty folder; and the words.
COMMANDS = {
    "validation_fraction_in_per_cent": (
        _PRETRAIN + "--validation_fraction=20",
        ["--validation_fraction", "[0, 1)", "20"],
    ),
    "validation_fraction_with_a_sign": (
        _PRETRAIN + "--validation_fraction=10%",
        ["--validation_fraction", "[0, 1)", "10%"],
    ),
    "validation_fraction_of_all": (
        _PRETRAIN + "--validation_fraction=1",
        ["--validation_fraction", "[0, 1)"],
    ),
    "validation_fraction_that_leaves_no_batch": (
        _PRETRAIN + "--validation_fraction=0.5",
        [
            "--validation_fraction=0.5 of 144 images leaves 72",
            "--batch_size=128; lower one of them",
        ],
    ),
    "validation_by_the_name_of_keras": (
        _PRETRAIN + "--validation_split=0.1",
        ["validation_split"],
    ),
    "validation_selects_the_best_of_nothing": (
        _PRETRAIN + "--select=best",
        ["--select=best needs --validation_fraction", "0.1"],
    ),
    "validation_selects_nothing_known": (
        _PRETRAIN + "--select=first",
        ["--select", "best"],
    ),
    "validation_epochs_below_0": (
        "pretrain --model=digits_model --epochs=-1",
        ["--epochs", ">= 0"],
    ),
    "validation_epochs_in_words": (
        _PIPELINE + "--prune_epochs=ten",
        ["--prune_epochs", "ten"],
    ),
    "validation_warm_up_below_0": (
        _PRETRAIN + "--warmup_epochs=-1",
        ["--warmup_epochs", ">= 0"],
    ),
    "validation_warm_up_at_rate_0": (
        _PRETRAIN + "--warmup_learning_rate=0",
        ["--warmup_learning_rate", "> 0"],
    ),
    "validation_learning_rate_in_words": (
        _PRETRAIN + "--learning_rate=fast",
        ["--learning_rate", "fast"],
    ),
    "validation_learning_rate_of_a_phase_0": (
        _PIPELINE + "--finetune_learning_rate=0",
        ["--finetune_learning_rate", "> 0"],
    ),
    "validation_schedule_unknown": (
        _PRETRAIN + "--lr_schedule=linear",
        ["--lr_schedule", "cosine"],
    ),
    "validation_ramp_below_0": (
        _PRETRAIN + "--objective=ibp --epsilon=0.1 --schedule_length=-1",
        ["--schedule_length", ">= 0"],
    ),
    "validation_optimizer_unknown": (
        _PRETRAIN + "--optimizer=adamw",
        ["--optimizer", "adam"],
    ),
    "validation_momentum_above_1": (
        _PRETRAIN + "--momentum=9",
        ["--momentum", "[0, 1)"],
    ),
    "validation_weight_decay_below_0": (
        _PRETRAIN + "--weight_decay=-1",
        ["--weight_decay", ">= 0"],
    ),
    "validation_gradient_clipping_below_0": (
        _PRETRAIN + "--gradient_clipping=-1",
        ["--gradient_clipping", ">= 0"],
    ),
    "validation_precision_misspelt": (
        _PRETRAIN + "--precision=fp16",
        ["--precision", "mixed_float16"],
    ),
    "validation_strategy_unknown": (
        _PRETRAIN + "--strategy=tpus",
        ["--strategy", "mirrored"],
    ),
    "validation_jit_compile_true": (
        _PRETRAIN + "--jit_compile=true",
        ["--jit_compile", "on"],
    ),
    "validation_progress_unknown": (
        _PRETRAIN + "--progress=bar",
        ["--progress", "steps"],
    ),
    "validation_more_steps_per_execution_than_steps": (
        _PRETRAIN + "--steps_per_execution=50",
        ["--steps_per_execution=50 must divide 2", "below is 2"],
    ),
    "validation_seed_in_words": (
        _PRETRAIN + "--seed=lucky",
        ["--seed", "lucky"],
    ),
}
