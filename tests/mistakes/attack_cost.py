"""Settings that make the attacks of training cheaper, and do not fit."""

import keras

import hydra_tf as ht

MADRY = ht.objectives.Madry(epsilon=0.1, num_steps=2)


def train(objective=MADRY, network=None, **settings):
    """Returns a row's function: `run_phase` with these settings."""

    def mistake(given):
        ht.training.run_phase(
            given.network() if network is None else network(),
            "pretrain",
            (given.images, given.labels),
            objective,
            **{"epochs": 1, **settings},
        )

    return mistake


def of_any_size():
    inputs = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(pooled))


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "attack_cost_noise_below_0": (
        lambda given: ht.objectives.FGSM(noise_magnitude=-1),
        ["`noise_magnitude` must be a number >= 0", "noise_magnitude=-1"],
    ),
    "attack_cost_noise_and_random_start": (
        lambda given: ht.objectives.FGSM(noise_magnitude=2, random_start=True),
        ["`random_start` and `noise_magnitude`", "give one"],
    ),
    "attack_cost_noise_of_another_objective": (
        lambda given: ht.objectives.Madry(noise_magnitude=2),
        ["Madry has no argument `noise_magnitude`"],
    ),
    "attack_cost_steps_of_a_schedule_below_0": (
        lambda given: ht.objectives.TRADES(
            num_steps=ht.schedules.LinearRamp(0, 4, -1.0, 8.0)
        ),
        ["`num_steps` must start and end at a number >= 0"],
    ),
    "attack_cost_warm_start_without_attack": (
        train(ht.objectives.Natural(), warm_start=True),
        ["`warm_start` needs an objective", "Natural("],
    ),
    "attack_cost_warm_start_on_bounds": (
        lambda given: ht.RobustModel(
            given.network(), ht.objectives.IBP(), warm_start=4
        ),
        ["`warm_start` needs an objective", "IBP("],
    ),
    "attack_cost_warm_start_and_noise": (
        train(ht.objectives.FGSM(noise_magnitude=2), warm_start=True),
        ["`warm_start` and `noise_magnitude`", "give one"],
    ),
    "attack_cost_warm_start_of_images_of_any_size": (
        train(network=of_any_size, warm_start=True),
        ["`warm_start` needs a network for images of one size"],
    ),
    "attack_cost_warm_start_of_no_batch": (
        lambda given: ht.RobustModel(given.network(), MADRY, warm_start=True),
        ["`warm_start` must be a whole number >= 1", "warm_start=True"],
    ),
    "attack_cost_ramp_in_epochs": (
        train(num_steps_ramp=10),
        ["`num_steps_ramp` must be a number in [0, 1]", "10 % is 0.1"],
    ),
    "attack_cost_ramp_of_one_step": (
        train(ht.objectives.Madry(num_steps=1), num_steps_ramp=0.5),
        [
            "`num_steps` must be a whole number >= 2",
            "`num_steps_ramp`",
            "num_steps=1",
        ],
    ),
    "attack_cost_ramp_of_bounds": (
        lambda given: ht.prune(
            given.network(),
            given.dataset(),
            ht.objectives.IBP(),
            0.5,
            num_steps_ramp=0.5,
        ),
        ["`num_steps_ramp`=0.5 needs an objective", "madry, trades or mart"],
    ),
}

_PRETRAIN = "pretrain --model=digits_model --epochs=2 "

# Name: a command line, in which {folder} is an empty folder; and the words.
COMMANDS = {
    "attack_cost_warm_start_without_attack": (
        _PRETRAIN + "--objective=natural --warm_start",
        ["--warm_start needs an objective"],
    ),
    "attack_cost_ramp_of_fgsm": (
        _PRETRAIN + "--objective=fgsm --num_steps_ramp=0.5",
        ["--num_steps_ramp=0.5 needs an objective"],
    ),
    "attack_cost_ramp_in_per_cent": (
        _PRETRAIN + "--objective=madry --num_steps_ramp=50",
        ["--num_steps_ramp", "[0, 1]", "50 % is 0.5"],
    ),
    "attack_cost_noise_and_random_start": (
        _PRETRAIN + "--objective=fgsm --random_start --noise_magnitude=2",
        ["--random_start and --noise_magnitude", "give one"],
    ),
    "attack_cost_noise_below_0": (
        _PRETRAIN + "--objective=fgsm --noise_magnitude=-2",
        ["--noise_magnitude", ">= 0"],
    ),
}
