"""On the way from a network to a pruned, measured SavedModel."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.evaluation import certify
from hydra_tf.evaluation import evaluate
from hydra_tf.training import run_phase


def prune(given, network=None, train=None, objective=None, **settings):
    """Calls `ht.prune` with what is right but for the mistake."""
    return ht.prune(
        given.network() if network is None else network,
        given.dataset() if train is None else train,
        objective or given.objective(),
        **{"prune_epochs": 1, "finetune_epochs": 1, **settings},
    )


def run(given, network=None, phase="prune", train=None, **settings):
    """Calls `run_phase` with what is right but for the mistake."""
    return run_phase(
        given.masked() if network is None else network,
        phase,
        given.dataset() if train is None else train,
        settings.pop("objective", given.objective()),
        **{"epochs": 1, "folder": "run", **settings},
    )


def measure(given, model=None, images=None, labels=None, **settings):
    """Calls `evaluate` with what is right but for the mistake."""
    return evaluate(
        given.network() if model is None else model,
        given.images if images is None else images,
        given.labels if labels is None else labels,
        **{"epsilon": 0.1, "num_steps": 1, "num_restarts": 1, **settings},
    )


def prove(given, **settings):
    """Calls `certify` with what is right but for the mistake."""
    return certify(given.network(), given.images, given.labels, **settings)


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return tf.abs(self.dense(keras.ops.reshape(x, (-1, 16))))

    network = Own()
    network(np.zeros((1, 4, 4, 1), np.float32))
    return network


def several(inputs=1, outputs=1):
    """Returns a network of several inputs or outputs."""
    given = [keras.Input((4, 4, 1)) for _ in range(inputs)]
    added = keras.layers.Add()(given) if inputs > 1 else given[0]
    flat = keras.layers.Flatten()(added)
    made = [keras.layers.Dense(3)(flat) for _ in range(outputs)]
    return keras.Model(given, made)


def begun(given, **settings):
    """Leaves a finished course in the folder "run"."""
    prune(given, method="lwm", finetune_epochs=0, folder="run", **settings)


def begin_and_differ(given):
    network = given.network()
    begun(given, network=network, density=0.5)
    begun(given, network=network, density=0.25)


def begin_and_take_another(given):
    begun(given)
    begun(given)


def a_file(name):
    path = pathlib.Path(name)
    path.write_text("mine")
    return path


def no_logits():
    return keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])


PYTHON = {
    # ht.prune
    "course_density_is_sparsity_in_percent": (
        lambda given: prune(given, density=90),
        ["`density`", "(0, 1]", "density=90"],
    ),
    "course_density_0": (
        lambda given: prune(given, density=0),
        ["`density`", "(0, 1]"],
    ),
    "course_unknown_method": (
        lambda given: prune(given, method="hidra"),
        ["`method`", "Did you mean 'hydra'"],
    ),
    "course_unknown_setting": (
        lambda given: prune(given, sparsity=0.9),
        ["`sparsity`", "density"],
    ),
    "course_epochs_of_no_phase": (
        lambda given: prune(given, epochs=5),
        ["`epochs`", "prune_epochs"],
    ),
    "course_epochs_below_0": (
        lambda given: prune(given, prune_epochs=-1),
        ["`prune_epochs`", "-1"],
    ),
    "course_epochs_half": (
        lambda given: prune(given, finetune_epochs=0.5),
        ["`finetune_epochs`", "whole number"],
    ),
    "course_no_epochs_to_choose_weights_in": (
        lambda given: prune(given, prune_epochs=0),
        ["`prune_epochs=0`", "hydra", "`method='lwm'`"],
    ),
    "course_best_epoch_without_validation": (
        lambda given: prune(given, select="best"),
        ["`select`", "`validation`"],
    ),
    "course_validation_on_the_training_images": (
        lambda given: (lambda pair: prune(given, train=pair, validation=pair))(
            (given.images, given.labels)
        ),
        ["`validation` must be other images"],
    ),
    "course_data_of_more_classes_leaves_the_folder_as_it_is": (
        lambda given: prune(
            given,
            network=given.network(classes=2),
            method="lwm",
            folder=given.folder / "run",
        ),
        ["`labels of train`", "from 0 to 1", "2 logits"],
    ),
    "course_objective_by_name": (
        lambda given: prune(given, objective="trades"),
        ["`objective`", "hydra_tf.objectives", "'trades'"],
    ),
    "course_objective_is_a_loss": (
        lambda given: prune(given, objective=keras.losses.MeanSquaredError()),
        ["`objective`", "hydra_tf.objectives", "mean_squared"],
    ),
    "course_network_by_path": (
        lambda given: prune(given, network="network.keras"),
        ["`network`", "Keras model", "network.keras"],
    ),
    "course_network_is_a_function": (
        lambda given: prune(given, network=given.network),
        ["`network`", "Keras model"],
    ),
    "course_network_subclassed": (
        lambda given: prune(given, network=subclassed(), granularity="channel"),
        ["Functional", "Own"],
    ),
    "course_network_ends_in_softmax": (
        lambda given: prune(given, network=given.network(activation="softmax")),
        ["`network`", "softmax", "'last'"],
    ),
    "course_nothing_to_prune": (
        lambda given: prune(given, network=no_logits()),
        ["nothing to prune", "register_maskable"],
    ),
    "course_images_without_labels": (
        lambda given: prune(given, train=given.images),
        ["`train`", "pair of arrays", "ndarray"],
    ),
    "course_train_by_name": (
        lambda given: prune(given, train="digits"),
        ["`train`", "Pipeline", "str"],
    ),
    "course_train_without_an_end": (
        lambda given: prune(given, train=given.dataset().repeat()),
        ["`train`", "dataset with an end"],
    ),
    "course_fewer_labels_than_images": (
        lambda given: prune(given, train=(given.images, given.labels[:5])),
        ["labels", "5"],
    ),
    "course_exclude_unknown_layer": (
        lambda given: prune(given, exclude=["frist"]),
        ["`exclude`", "'frist'", "'first'"],
    ),
    "course_exclude_everything": (
        lambda given: prune(given, exclude=["first", "last"]),
        ["nothing to prune", "excluded"],
    ),
    "course_allocation_for_another_network": (
        lambda given: prune(given, allocation={"first": 0.5}),
        ["`allocation`", "'last'"],
    ),
    "course_allocation_file_missing": (
        lambda given: prune(given, allocation="~/no_such.json"),
        ["`allocation=", "no_such.json", "does not exist"],
    ),
    "course_granularity_unknown": (
        lambda given: prune(given, granularity="kernel"),
        ["`granularity`", "'kernel'", "channel"],
    ),
    "course_pattern_with_density": (
        lambda given: prune(given, granularity="2:4", density=0.1),
        ["`density=0.1`", "2:4", "0.5"],
    ),
    "course_setting_of_another_method": (
        lambda given: prune(given, method="lwm", rates="erk"),
        ["`rates=", "harp"],
    ),
    "course_optimizer_unknown": (
        lambda given: prune(given, optimizer="adamw"),
        ["`optimizer`", "'adamw'", "'adam'"],
    ),
    "course_rate_beside_an_optimizer": (
        lambda given: prune(
            given, optimizer=keras.optimizers.SGD(0.1), learning_rate=0.01
        ),
        ["`learning_rate`", "SGD"],
    ),
    "course_rate_0": (
        lambda given: prune(given, finetune_learning_rate=0),
        ["`finetune_learning_rate`", "> 0"],
    ),
    "course_warmup_as_long_as_the_phase": (
        lambda given: prune(given, warmup_epochs=1),
        ["`warmup_epochs`", "prune"],
    ),
    "course_seed_below_0": (
        lambda given: prune(given, seed=-1),
        ["`seed`", "-1"],
    ),
    "course_progress_true": (
        lambda given: prune(given, progress=True),
        ["`progress`", "'auto'", "True"],
    ),
    "course_strategy_unknown": (
        lambda given: prune(given, strategy="multi_gpu"),
        ["`strategy`", "'mirrored'"],
    ),
    # start_pruning and run_phase
    "course_snip_without_data": (
        lambda given: ht.start_pruning(given.network(), method="snip"),
        ["snip", "data=(images, labels)"],
    ),
    "course_start_pruning_unbuilt": (
        lambda given: ht.start_pruning(
            keras.Sequential([keras.layers.Dense(3)])
        ),
        ["not built", "Input"],
    ),
    "course_start_pruning_unknown_setting": (
        lambda given: ht.start_pruning(given.network(), sparsity=0.9),
        ["`sparsity`", "density"],
    ),
    "course_phase_misspelt": (
        lambda given: run(given, phase="fine-tune"),
        ["`phase`", "finetune"],
    ),
    "course_phase_without_masks": (
        lambda given: run(given, network=given.network()),
        ["`network`", "no masks", "start_pruning"],
    ),
    "course_phase_of_learned_densities_without_target": (
        lambda given: run(
            given, network=ht.start_pruning(given.network(), method="harp")
        ),
        ["`pruning`", "densities"],
    ),
    "course_phase_objective_by_name": (
        lambda given: run(given, objective="trades"),
        ["`objective`", "'trades'"],
    ),
    "course_phase_pruning_by_name": (
        lambda given: run(given, pruning="hydra"),
        ["`pruning`", "hydra_tf.Pruning", "'hydra'"],
    ),
    # evaluate and certify
    "course_evaluate_unknown_setting": (
        lambda given: measure(given, eps=0.1),
        ["`eps`", "'epsilon'"],
    ),
    "course_evaluate_unknown_attack": (
        lambda given: measure(given, attacks=["pgd_50"]),
        ["'pgd_50'", "'pgd'"],
    ),
    "course_evaluate_pixels_to_255": (
        lambda given: measure(given, images=255 * given.images),
        ["`images`", "[0, 1]"],
    ),
    "course_evaluate_one_hot_labels": (
        lambda given: measure(given, labels=np.eye(3, dtype=int)[given.labels]),
        ["class ind"],
    ),
    "course_evaluate_a_dataset": (
        lambda given: evaluate(given.network(), given.dataset(), None),
        ["float images"],
    ),
    "course_evaluate_probabilities": (
        lambda given: measure(given, model=given.network(activation="softmax")),
        ["`model`", "softmax"],
    ),
    "course_evaluate_settings_of_certify": (
        lambda given: evaluate(
            given.network(),
            given.images,
            given.labels,
            ht.evaluation.CertificationSettings(),
        ),
        ["`settings`", "EvaluationSettings"],
    ),
    "course_certify_unknown_method": (
        lambda given: prove(given, method="crown-ibp"),
        ["`method`", "'crown_ibp'"],
    ),
    "course_certify_radius_below_0": (
        lambda given: prove(given, radii=[-0.1]),
        ["`radii`", ">= 0"],
    ),
    "course_certify_settings_of_evaluate": (
        lambda given: prove(given, epsilon=0.1),
        ["`epsilon`", "radii"],
    ),
    # export_saved_model
    "course_export_a_layer": (
        lambda given: ht.export_saved_model(given.network().layers[1], "out"),
        ["`model`", "Keras model"],
    ),
    "course_export_a_path": (
        lambda given: ht.export_saved_model("network.keras", "out"),
        ["`model`", "Keras model", "network.keras"],
    ),
    "course_export_arguments_swapped": (
        lambda given: ht.export_saved_model("out", given.network()),
        ["`model`", "Keras model"],
    ),
    "course_export_two_inputs": (
        lambda given: ht.export_saved_model(several(inputs=2), "out"),
        ["`model`", "single input"],
    ),
    "course_export_two_outputs": (
        lambda given: ht.export_saved_model(several(outputs=2), "out"),
        ["`model`", "single output"],
    ),
    "course_export_other_shape": (
        lambda given: ht.export_saved_model(
            given.network(), "out", input_shape=(8, 8, 1)
        ),
        ["`input_shape`", "(4, 4, 1)", "(8, 8, 1)"],
    ),
    "course_export_shape_is_a_number": (
        lambda given: ht.export_saved_model(
            given.network(), "out", input_shape=4
        ),
        ["`input_shape`", "4"],
    ),
    "course_export_over_a_file": (
        lambda given: ht.export_saved_model(given.network(), a_file("mine")),
        ["`path`", "mine"],
    ),
    "course_export_over_my_folder": (
        lambda given: ht.export_saved_model(
            given.network(), a_file("mine").parent
        ),
        ["`path`", "something else"],
    ),
    "course_export_path_is_none": (
        lambda given: ht.export_saved_model(given.network(), None),
        ["path", "None"],
    ),
    "course_export_home_of_nobody": (
        lambda given: ht.export_saved_model(given.network(), "~no_one/out"),
        ["~no_one/out", "home folder"],
    ),
}

# What is begun with other settings, or of another network.
PYTHON |= {
    "course_folder_of_another_density": (
        begin_and_differ,
        ["`folder`", "`density`=0.5", "`density`=0.25", "`overwrite`"],
    ),
    "course_folder_of_another_network": (
        begin_and_take_another,
        ["`folder`", "another network"],
    ),
}
