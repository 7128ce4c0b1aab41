"""Command lines: combinations of flags, sources, functions of one's own."""

import json

import keras

import hydra_tf as ht

HERE = "tests.mistakes.flags"


# --- functions of a user's own, each with a mistake -------------------------


def unbuildable(input_shape, num_classes):
    return keras.layers.Dense(num_classes / 0)


def forgets_to_return(input_shape, num_classes):
    keras.Sequential([keras.Input(input_shape)])


def one_argument(input_shape):
    return keras.Sequential([keras.Input(input_shape)])


def too_few_classes(input_shape, num_classes):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes - 1),
        ]
    )


class Unready(ht.objectives.Objective):
    def __init__(self, epsilon=0.1):
        raise RuntimeError("to be written")


class Misspelt(ht.objectives.Objective):
    def loss(self, model, x, y, perturbed, training=True):
        return model.cal(x)


class Unreduced(ht.objectives.Objective):
    def loss(self, model, x, y, perturbed, training=True):
        return keras.losses.sparse_categorical_crossentropy(
            y, model(x), from_logits=True
        )


def leaves_the_ball(model, x, y, *, epsilon):
    return x + 2 * epsilon


def broken_attack(model, x, y, *, epsilon):
    return x + epsilon / len(model.no_such_attribute)


def no_scores(network, groups, *, seed, data):
    return None


def broken_scores(network, groups, *, seed, data):
    return [group.no_such_attribute for group in groups]


NUMBER = 3


# --- what has to be there first ---------------------------------------------


def network(name, *layers, shape=(8, 8, 1)):
    """Returns a function that saves a network in a folder."""

    def prepare(folder):
        model = keras.Sequential([keras.Input(shape), *layers])
        model.save(folder / f"{name}.keras")

    return prepare


def small(folder, classes=10, shape=(8, 8, 1)):
    network(
        "small",
        keras.layers.Flatten(),
        keras.layers.Dense(classes),
        shape=shape,
    )(folder)


def file(name, content):
    """Returns a function that saves the small network and a file."""

    def prepare(folder):
        small(folder)
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(content)

    return prepare


def truncated(folder):
    small(folder)
    path = folder / "small.keras"
    path.write_bytes(path.read_bytes()[:500])


def nothing(folder):
    # 64 pixels, the largest of each 6 of them.
    network(
        "small",
        keras.layers.Reshape((64, 1)),
        keras.layers.MaxPooling1D(6),
        keras.layers.Flatten(),
    )(folder)


def channels(folder):
    network(
        "small",
        keras.layers.Conv2D(6, 3, name="first"),
        keras.layers.Conv2D(6, 3, name="second"),
        keras.layers.Flatten(),
        keras.layers.Dense(10, name="last"),
    )(folder)


def unbounded(folder):
    network(
        "small",
        keras.layers.Flatten(),
        keras.layers.UnitNormalization(name="odd_one"),
        keras.layers.Dense(10),
    )(folder)


def softmax(folder):
    network(
        "small",
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax", name="odd_one"),
    )(folder)


WRONG = file("wrong.json", json.dumps({"denze": 0.5}))
BROKEN = file("broken.json", "{")
TWICE = file("twice.json", '{"dense": 0.5, "dense": 0.1}')
SOURCE = "--source={folder}/small.keras"
DIGITS = "--model=digits_model"


def write(given, name, text):
    path = given.folder / name
    path.write_text(text)
    return str(path)


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "flags_model_of_ones_own_that_raises": (
        lambda given: ht.models.create(f"{HERE}:unbuildable", (4, 4, 1), 3),
        [f"'{HERE}:unbuildable' raised ZeroDivisionError", "num_classes / 0"],
    ),
    "flags_model_of_ones_own_without_return": (
        lambda given: ht.models.create(
            f"{HERE}:forgets_to_return", (4, 4, 1), 3
        ),
        ["forgets_to_return", "must return a keras.Model", "NoneType"],
    ),
    "flags_objective_of_ones_own_that_raises": (
        lambda given: ht.objectives.create(f"{HERE}:Unready"),
        [f"'{HERE}:Unready' raised RuntimeError: to be written"],
    ),
    "flags_objective_by_name_with_an_unknown_setting": (
        lambda given: ht.objectives.create("trades", betta=1.0),
        ["'trades' has no setting 'betta'", "'beta'"],
    ),
    "flags_method_of_ones_own_that_returns_nothing": (
        lambda given: ht.Pruning(method=f"{HERE}:no_scores").start(
            given.network()
        ),
        ["no_scores", "a list of one tensor for each group", "NoneType"],
    ),
    "flags_method_of_ones_own_that_raises": (
        lambda given: ht.Pruning(method=f"{HERE}:broken_scores").start(
            given.network()
        ),
        [f"'{HERE}:broken_scores' raised AttributeError", "no_such_attribute"],
    ),
    "flags_allocation_with_a_layer_twice": (
        lambda given: ht.Pruning(
            allocation=write(
                given, "a.json", '{"first": 0.5, "last": 1, "first": 0.1}'
            )
        ).start(given.network()),
        ["`allocation=", "'first' twice", "one density"],
    ),
    "flags_rates_with_a_layer_twice": (
        lambda given: ht.Pruning(
            method="harp",
            rates=write(given, "a.json", '{"first": 0.5, "first": 0.1}'),
        ).start(given.network()),
        ["`rates=", "'first' twice"],
    ),
}

# Name: a command line, in which {folder} is an empty folder, perhaps with what
# prepares that folder; and the words.
COMMANDS = {
    # Names.
    "flags_unknown_dataset": (
        "pipeline --dataset=cifar11",
        ["--dataset=cifar11", "cifar10"],
    ),
    "flags_unknown_model": (
        "pretrain --model=vgg16bn",
        ["--model=vgg16bn", "'vgg16_bn'"],
    ),
    "flags_unknown_method": (
        "pipeline --model=digits_model --method=hidra",
        ["--method=hidra", "'hydra'"],
    ),
    "flags_unknown_method_to_compare_with": (
        "pipeline --model=digits_model --compare=lmw",
        ["--compare=lmw", "lwm"],
    ),
    "flags_unknown_objective_to_pretrain_with": (
        "pipeline --model=digits_model --pretrain_objective=tradse",
        ["--pretrain_objective=tradse", "'trades'"],
    ),
    "flags_unknown_flag": (
        "pipeline --model=digits_model --densty=0.1",
        ["densty", "density"],
    ),
    "flags_unknown_preset": (
        "pipeline --preset=digits_dem",
        ["--preset=digits_dem", "digits_demo"],
    ),
    "flags_word_that_is_no_flag": (
        "pipeline digits_demo",
        ["unexpected argument 'digits_demo'", "--name=value"],
    ),
    # What is missing.
    "flags_no_model": ("pretrain", ["--model is required"]),
    "flags_no_source": ("prune", ["--source is required"]),
    "flags_no_source_to_evaluate": ("evaluate", ["--source is required"]),
    "flags_no_source_to_export": ("export", ["--source is required"]),
    "flags_no_source_to_certify": ("certify", ["--source: is required"]),
    "flags_no_output_folder": ("pretrain --output_dir=", ["--output_dir"]),
    # Sources.
    "flags_missing_source": (
        "prune --source={folder}/nowhere",
        ["does not exist"],
    ),
    "flags_run_without_a_network": (
        (
            lambda folder: (folder / "empty_run").mkdir(),
            "finetune --source={folder}/empty_run",
        ),
        ["holds no finished phase"],
    ),
    "flags_other_file": (
        (file("weights.h5", b""), "prune --source={folder}/weights.h5"),
        ["no .keras file"],
    ),
    "flags_truncated": (
        (truncated, f"prune {SOURCE}"),
        ["small.keras", "cannot be read as a Keras model"],
    ),
    "flags_other_classes": (
        (lambda folder: small(folder, classes=7), f"prune {SOURCE}"),
        ["outputs of shape (7,)", "10 classes"],
    ),
    "flags_other_images": (
        (lambda folder: small(folder, shape=(32, 32, 3)), f"prune {SOURCE}"),
        ["(32, 32, 3)", "(8, 8, 1)"],
    ),
    "flags_other_architecture": (
        (small, f"prune {SOURCE} {DIGITS}"),
        ["another architecture than --model=digits_model"],
    ),
    "flags_finetune_without_masks": (
        (small, f"finetune {SOURCE}"),
        ["without masks"],
    ),
    "flags_nothing_to_prune": (
        (nothing, f"prune {SOURCE}"),
        ["has nothing to prune"],
    ),
    # Before hours of training, not after them.
    "flags_nothing_to_prune_later": (
        (nothing, f"pipeline {SOURCE}"),
        ["has nothing to prune"],
    ),
    "flags_softmax": (
        (softmax, f"pretrain {SOURCE} --objective=ibp --epsilon=0.01"),
        ["small.keras ends in a softmax, layer 'odd_one'"],
    ),
    # Allocations and rates.
    "flags_allocation_of_another_network": (
        (WRONG, f"prune {SOURCE} --allocation={{folder}}/wrong.json"),
        ["--allocation=", "denze"],
    ),
    "flags_allocation_of_another_network_for_later": (
        (WRONG, f"pipeline {DIGITS} --allocation={{folder}}/wrong.json"),
        ["--allocation=", "wrong.json", "denze"],
    ),
    "flags_allocation_that_is_no_json": (
        (BROKEN, f"prune {SOURCE} --allocation={{folder}}/broken.json"),
        ["broken.json: cannot be read as JSON"],
    ),
    "flags_allocation_with_a_layer_named_twice": (
        (TWICE, f"prune {SOURCE} --allocation={{folder}}/twice.json"),
        ["--allocation=", "twice.json", "'dense' twice"],
    ),
    "flags_missing_allocation": (
        (small, f"prune {SOURCE} --allocation={{folder}}/none.json"),
        ["none.json: it does not exist"],
    ),
    "flags_rates_of_another_network": (
        (
            WRONG,
            f"pipeline {DIGITS} --method=harp --rates={{folder}}/wrong.json",
        ),
        ["--rates=", "wrong.json", "denze"],
    ),
    "flags_rates_of_another_network_compared_with": (
        (
            WRONG,
            f"pipeline {DIGITS} --method=lwm --compare=harp "
            "--rates={folder}/wrong.json",
        ),
        ["--rates=", "wrong.json", "denze"],
    ),
    "flags_rates_that_are_no_json": (
        (
            BROKEN,
            f"prune {SOURCE} --method=harp --rates={{folder}}/broken.json",
        ),
        ["broken.json: cannot be read as JSON"],
    ),
    "flags_rates_of_a_method_that_learns_none": (
        f"pipeline {DIGITS} --rates=erk",
        ["--rates=erk", "--method=harp"],
    ),
    "flags_channels_of_which_none_would_be_left": (
        (channels, f"pipeline {SOURCE} --granularity=channel --density=0.1"),
        ["'second'", "0.1", "would remove"],
    ),
    "flags_channels_that_cannot_be_cut_into_blocks": (
        (channels, f"pipeline {SOURCE} --granularity=2:4"),
        ["'second' has 6", "blocks of 4", "2:4"],
    ),
    # Epochs.
    "flags_no_epochs_for_harp": (
        f"pipeline {DIGITS} --method=harp --prune_epochs=0",
        ["--prune_epochs=0", "harp", "--method=lwm"],
    ),
    "flags_no_epochs_for_hydra_alone": (
        (small, f"prune {SOURCE} --epochs=0"),
        ["--epochs=0", "hydra", "--method=lwm"],
    ),
    "flags_no_epochs_for_a_method_compared_with": (
        f"pipeline {DIGITS} --method=lwm --compare=harp --prune_epochs=0",
        ["--prune_epochs=0", "harp"],
    ),
    "flags_warm_up_longer_than_the_phase": (
        f"pretrain {DIGITS} --epochs=2 --warmup_epochs=2",
        ["--warmup_epochs=2 must be less than the 2 epochs"],
    ),
    "flags_warm_up_longer_than_a_later_phase": (
        f"pipeline {DIGITS} --pretrain_epochs=3 --prune_epochs=2 "
        "--warmup_epochs=2",
        ["--warmup_epochs=2 must be less than the 2 epochs of the prune phase"],
    ),
    "flags_ramp_longer_than_the_phase": (
        f"pretrain {DIGITS} --epochs=2 --objective=ibp --schedule_length=3",
        ["--schedule_length=3", "the 2 epochs of the pretrain phase"],
    ),
    # Bounds and attacks.
    "flags_no_bounds_to_train_on": (
        (unbounded, f"pretrain {SOURCE} --objective=crown_ibp --epsilon=0.01"),
        ["small.keras does not fit --", "--objective=crown_ibp", "'odd_one'"],
    ),
    # Before hours of training, not after them.
    "flags_no_bounds_to_certify_by": (
        (unbounded, f"pipeline {SOURCE} --eval_certify=ibp"),
        ["small.keras does not fit --", "--eval_certify=ibp", "'odd_one'"],
    ),
    "flags_no_bounds_to_evaluate": (
        (unbounded, f"evaluate {SOURCE} --eval_certify=ibp"),
        ["small.keras does not fit --", "--eval_certify=ibp", "'odd_one'"],
    ),
    "flags_attack_of_the_other_norm": (
        "evaluate --eval_attacks=cleverhans_cw_l2",
        ["--threat_model=l2"],
    ),
    "flags_unknown_attack": (
        "evaluate --eval_attacks=pdg",
        ["--eval_attacks", "'pdg'", "'pgd'"],
    ),
    # Flags of another method, or of an objective.
    "flags_noise_of_bounds": (
        "certify --source=a.keras --method=ibp --sigma=0.5",
        ["--sigma", "is of smoothing", "--method=ibp"],
    ),
    "flags_precision_of_smoothing": (
        "certify --source=a.keras --method=smoothing --dtype=float64",
        ["--dtype", "is of bounds"],
    ),
    "flags_l2_radii_of_bounds": (
        "certify --source=a.keras --method=ibp --radii=0.5",
        ["--radii", "is of smoothing", "--epsilons"],
    ),
    "flags_recipe_for_a_certification": (
        "certify --source=a.keras --preset=digits_demo",
        ["preset"],
    ),
    "flags_shrunk_batches_without_shrinking": (
        (small, f"export {SOURCE} --shrink_batch_size=8"),
        ["--shrink_batch_size=8", "--shrink"],
    ),
    "flags_unknown_setting_of_an_objective": (
        f"pretrain {DIGITS} --objective_settings=eps=0.1",
        ["--objective_settings=eps=0.1", "'trades'", "'eps'", "epsilon"],
    ),
    "flags_setting_of_an_objective_without_value": (
        f"pretrain {DIGITS} --objective_settings=beta",
        ["--objective_settings=beta", "name=value"],
    ),
    "flags_setting_of_an_objective_twice": (
        f"pretrain {DIGITS} --objective_settings=beta=1,beta=2",
        ["--objective_settings=", "'beta' is given twice"],
    ),
    "flags_setting_of_an_objective_that_has_a_flag_too": (
        f"pretrain {DIGITS} --beta=3 --objective_settings=beta=2",
        ["--objective_settings=beta=2", "--beta", "once"],
    ),
    # Functions of one's own.
    "flags_model_of_a_missing_module": (
        "pretrain --model=no_such_module:make",
        ["no_such_module"],
    ),
    "flags_model_that_the_module_lacks": (
        f"pretrain --model={HERE}:unbuildabel",
        ["has no 'unbuildabel'", "'unbuildable'"],
    ),
    "flags_model_that_is_no_function": (
        f"pretrain --model={HERE}:NUMBER",
        [f"--model={HERE}:NUMBER", "must be a function"],
    ),
    "flags_model_that_raises": (
        f"pretrain --model={HERE}:unbuildable",
        [
            f"--model={HERE}:unbuildable",
            "raised ZeroDivisionError",
            "flags.py, line",
            "return keras.layers.Dense(num_classes / 0)",
        ],
    ),
    "flags_model_that_is_not_returned": (
        f"pretrain --model={HERE}:forgets_to_return",
        ["--model=", "must return a keras.Model", "NoneType"],
    ),
    "flags_model_of_one_argument": (
        f"pretrain --model={HERE}:one_argument",
        ["--model=", "(input_shape, num_classes)"],
    ),
    "flags_model_with_other_classes": (
        f"pretrain --model={HERE}:too_few_classes",
        ["--model=", "(None, 10)", "(None, 9)"],
    ),
    "flags_objective_that_is_none": (
        f"pretrain {DIGITS} --objective={HERE}:unbuildable",
        ["unbuildable", "subclass of hydra_tf.objectives.Objective"],
    ),
    "flags_objective_that_raises": (
        f"pretrain {DIGITS} --objective={HERE}:Misspelt",
        [f"'{HERE}:Misspelt' raised AttributeError", "model.cal(x)"],
    ),
    "flags_objective_that_is_no_mean": (
        f"pretrain {DIGITS} --objective={HERE}:Unreduced",
        ["must return a scalar", "shape=(2,)"],
    ),
    "flags_attack_that_raises": (
        f"pipeline {DIGITS} --eval_attacks={HERE}:broken_attack",
        [f"'{HERE}:broken_attack' raised AttributeError"],
    ),
    "flags_attack_that_leaves_the_ball": (
        (small, f"evaluate {SOURCE} --eval_attacks={HERE}:leaves_the_ball"),
        ["leaves_the_ball", "must stay within", "[0, 1]"],
    ),
    "flags_method_that_raises": (
        f"pipeline {DIGITS} --method={HERE}:broken_scores",
        [f"'{HERE}:broken_scores' raised AttributeError", "line"],
    ),
    "flags_method_that_returns_nothing": (
        f"pipeline {DIGITS} --compare={HERE}:no_scores",
        ["no_scores"],
    ),
}
