"""Settings of objectives, attacks and measurements that are none."""

import hydra_tf as ht


def pgd(**settings):
    """Returns a row's function: `pgd` with these settings."""

    def mistake(given):
        ht.attacks.pgd(
            given.network(),
            given.images,
            given.labels,
            **{"epsilon": 0.1, "step_size": 0.1, "num_steps": 1} | settings,
        )

    return mistake


def certified(**settings):
    """Returns a row's function: `bounds.certified` with these settings."""

    def mistake(given):
        ht.bounds.certified(
            given.network(),
            given.images,
            given.labels,
            **{"epsilon": 0.1} | settings,
        )

    return mistake


LEVELS = "For 8 of 255 levels pass 8/255"

# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "objective_steps_below_0": (
        lambda given: ht.objectives.TRADES(num_steps=-1),
        ["`num_steps`", "num_steps=-1"],
    ),
    **{
        f"objective_epsilon_in_levels_{name}": (
            lambda given, name=name: ht.objectives.create(name, epsilon=8),
            ["`epsilon` must be a number in [0, 1]", LEVELS],
        )
        for name in ("trades", "mart", "madry", "fgsm", "ibp", "mixtrain")
    },
    "objective_epsilon_of_a_ramp_in_levels": (
        lambda given: ht.objectives.CROWNIBP(
            epsilon=ht.schedules.LinearRamp(0, 4, 0.0, 8.0)
        ),
        ["`epsilon` must start and end at a number in [0, 1]"],
    ),
    "objective_epsilon_is_a_text": (
        lambda given: ht.objectives.TRADES(epsilon="8/255"),
        ["`epsilon` must be a number", "'8/255'"],
    ),
    "objective_epsilon_below_0": (
        lambda given: ht.objectives.IBP(epsilon=-0.1),
        ["`epsilon` must be a number", "-0.1"],
    ),
    "objective_step_size_in_levels": (
        lambda given: ht.objectives.Madry(step_size=2),
        ["`step_size`", "For 2 of 255 levels pass 2/255"],
    ),
    "objective_epsilon_beyond_the_clip": (
        lambda given: ht.objectives.TRADES(epsilon=8, clip=(-1, 1)),
        ["`epsilon` must be a number in [0, 2]", "epsilon=8"],
    ),
    "objective_clip_upside_down": (
        lambda given: ht.objectives.FGSM(clip=(1, 0)),
        ["`clip` must be a pair (smallest, largest)", "(1, 0)"],
    ),
    "objective_abbreviated_setting": (
        lambda given: ht.objectives.TRADES(eps=8 / 255),
        ["TRADES has no argument `eps`", "Did you mean 'epsilon'?"],
    ),
    "objective_setting_of_another": (
        lambda given: ht.objectives.Madry(beta=6.0),
        ["Madry has no argument `beta`"],
    ),
    "objective_setting_by_position": (
        lambda given: ht.objectives.TRADES(6.0),
        ["TRADES", "positional", "beta=..."],
    ),
    "objective_setting_by_position_where_there_is_one": (
        lambda given: ht.objectives.Natural(0.1),
        ["Natural", "positional", "clip=..."],
    ),
    "objective_created_with_unknown_setting": (
        lambda given: ht.objectives.create("trades", eps=0.1),
        ["'trades' has no setting 'eps'", "'epsilon'"],
    ),
    "objective_beta_is_a_text": (
        lambda given: ht.objectives.MART(beta="6"),
        ["`beta` must be a number >= 0", "'6'"],
    ),
    "objective_threat_model_of_another_spelling": (
        lambda given: ht.objectives.TRADES(threat_model="Linf"),
        ["`threat_model` must be one of 'linf', 'l2'", "Did you mean 'linf'?"],
    ),
    "objective_noise_of_0": (
        lambda given: ht.objectives.RandomizedSmoothing(sigma=0),
        ["`sigma` must be a number > 0", "sigma=0"],
    ),
    "objective_probability_above_1": (
        lambda given: ht.objectives.MixTrain(probability=80),
        ["`probability` must be a number in [0, 1]", "80"],
    ),
    "objective_is_a_class": (
        lambda given: ht.RobustModel(given.network(), ht.objectives.TRADES),
        ["`objective` must be", "call the class: TRADES()"],
    ),
    "objective_is_a_name": (
        lambda given: ht.RobustModel(given.network(), "trades"),
        ["`objective` must be", "hydra_tf.objectives.create('trades')"],
    ),
    "objective_of_the_attack_is_a_class": (
        lambda given: ht.RobustModel(
            given.network(), given.objective(), attack=ht.objectives.Madry
        ),
        ["`attack` must be", "call the class: Madry()"],
    ),
    "objective_of_a_phase_is_a_class": (
        lambda given: ht.training.run_phase(
            given.network(),
            "pretrain",
            (given.images, given.labels),
            ht.objectives.TRADES,
            epochs=1,
            folder=given.folder / "run",
        ),
        ["`objective` must be", "call the class: TRADES()"],
    ),
    "objective_attack_epsilon_in_levels": (
        pgd(epsilon=8),
        ["`epsilon` must be a number in [0, 1]", LEVELS],
    ),
    "objective_attack_step_size_in_levels": (
        pgd(step_size=2),
        ["`step_size` must be a number in [0, 1]", "2/255"],
    ),
    "objective_attack_abbreviated_setting": (
        pgd(eps=0.1),
        ["pgd() has no argument `eps`", "Did you mean 'epsilon'?"],
    ),
    "objective_attack_without_epsilon": (
        lambda given: ht.attacks.fgsm(
            given.network(), given.images, given.labels
        ),
        ["fgsm()", "missing", "'epsilon'"],
    ),
    "objective_attack_loss_unknown": (
        pgd(loss="cross_entropy"),
        ["`loss` must be one of 'ce', 'kl', 'margin'"],
    ),
    "objective_attack_clip_is_a_number": (
        pgd(clip=1.0),
        ["`clip` must be a pair", "clip=1.0"],
    ),
    "objective_attack_seed_is_a_text": (
        pgd(seed="0"),
        ["`seed` must be", "'0'"],
    ),
    "objective_cleverhans_epsilon_in_levels": (
        lambda given: ht.attacks.cleverhans_attack(
            "mim", given.network(), given.images, given.labels, epsilon=8
        ),
        ["`epsilon` must be a number in [0, 1]", LEVELS],
    ),
    "objective_certified_epsilon_in_levels": (
        certified(epsilon=8),
        ["`epsilon` must be a number in [0, 1]", LEVELS],
    ),
    "objective_certified_abbreviated_setting": (
        certified(eps=0.1),
        ["certified() has no argument `eps`", "Did you mean 'epsilon'?"],
    ),
    "objective_certified_method_unknown": (
        certified(method="crown-ibp"),
        ["'crown-ibp'", "Did you mean 'crown_ibp'"],
    ),
    "objective_certified_epsilon_for_each_image": (
        certified(epsilon=[0.1, 0.2]),
        ["`epsilon` must be a number", "[0.1, 0.2]"],
    ),
    "objective_measured_epsilon_in_levels": (
        lambda given: ht.evaluation.EvaluationSettings(epsilon=8),
        ["`epsilon` must be a number in [0, 1]", LEVELS],
    ),
    "objective_measured_setting_unknown": (
        lambda given: ht.evaluation.evaluate(
            given.network(), given.images, given.labels, steps=5
        ),
        ["no setting `steps`", "'num_steps'"],
    ),
    "objective_certification_radius_in_levels": (
        lambda given: ht.evaluation.certify(
            given.network(), given.images, given.labels, radii=[8]
        ),
        ["`radii` must be a number in [0, 1]", LEVELS],
    ),
    "objective_smoothing_abbreviated_setting": (
        lambda given: ht.smoothing.certify(
            given.network(), given.images, sigma=0.25, num_samples=100
        ),
        ["certify() has no argument `num_samples`"],
    ),
    "objective_smoothing_noise_below_0": (
        lambda given: ht.smoothing.predict(
            given.network(), given.images, sigma=-0.25
        ),
        ["`sigma` must be a number > 0", "-0.25"],
    ),
}

# Name: a command line, in which {folder} is an empty folder; and the words.
COMMANDS = {
    "objective_unknown": (
        "pretrain --model=digits_model --objective=trade",
        ["--objective=trade", "'trades'"],
    ),
    "objective_flag_epsilon_in_levels": (
        "pretrain --model=digits_model --epsilon=8",
        ["--epsilon=8", "in [0, 1]", "8/255"],
    ),
    "objective_flag_step_size_in_levels": (
        "pretrain --model=digits_model --step_size=2",
        ["--step_size=2", "in [0, 1]", "2/255"],
    ),
    "objective_flag_evaluation_epsilon_in_levels": (
        "pretrain --model=digits_model --eval_epsilon=8",
        ["--eval_epsilon=8", "8/255"],
    ),
    "objective_flag_setting_unknown": (
        "pretrain --model=digits_model --objective_settings=eps=0.1",
        ["--objective_settings=eps=0.1", "'epsilon'"],
    ),
    "objective_flag_setting_in_levels": (
        "pretrain --model=digits_model --objective_settings=epsilon=8",
        ["--epsilon must be a number in [0, 1]", "8/255"],
    ),
    "objective_flag_clip_upside_down": (
        "pretrain --model=digits_model --objective_settings=clip=(1,0)",
        ["--objective_settings=clip=(1,0)", "`clip` must be a pair"],
    ),
}
