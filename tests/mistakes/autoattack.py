"""AutoAttack and its attacks, asked for what they cannot do."""

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht


def auto(x=None, y=None, network=None, **settings):
    """Returns a row's function: `autoattack` with one thing changed."""
    return _row(ht.attacks.autoattack, x, y, network, settings)


def apgd(x=None, y=None, network=None, **settings):
    """Returns a row's function: the same with `apgd`."""
    return _row(ht.attacks.apgd, x, y, network, {"num_steps": 1} | settings)


def fab(**settings):
    """Returns a row's function: the same with `fab`."""
    return _row(ht.attacks.fab, None, None, None, {"num_steps": 1} | settings)


def fmn(**settings):
    """Returns a row's function: the same with `fmn`."""
    return _row(ht.attacks.fmn, None, None, None, {"num_steps": 1} | settings)


def _row(attack, x, y, network, settings):
    def mistake(given):
        attack(
            network(given) if network else given.network(),
            given.images if x is None else x(given.images),
            given.labels if y is None else y(given.labels),
            **{"epsilon": 0.1} | settings,
        )

    return mistake


def evaluated(**settings):
    """Returns a row's function: AutoAttack in an evaluation."""

    def mistake(given):
        ht.evaluation.evaluate(
            given.network(),
            given.images,
            given.labels,
            **{"attacks": ["autoattack"]} | settings,
        )

    return mistake


def state(name, content=None):
    """Returns a row's function: a file that is no state."""

    def mistake(given):
        path = given.folder / name
        if content is not None:
            path.write_bytes(content)
        auto(state=path)(given)

    return mistake


def archive(given):
    np.savez(given.folder / "state.npz", weights=np.zeros(3))
    auto(state=given.folder / "state.npz")(given)


def flat(given):
    layers = [keras.Input((16,)), keras.layers.Dense(3)]
    return keras.Sequential(layers)


def in_a_graph(given):
    tf.function(lambda: auto()(given), autograph=False)()


def two_inputs(given):
    pair = [keras.Input((4, 4, 1)), keras.Input((4, 4, 1))]
    added = keras.layers.Flatten()(keras.layers.Add()(pair))
    return keras.Model(pair, keras.layers.Dense(3)(added))


# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "autoattack_radius_in_levels": (
        auto(epsilon=8),
        ["`epsilon`", "threat_model=linf", "8/255"],
    ),
    "autoattack_radius_below_0": (
        auto(epsilon=-0.1),
        ["`epsilon`", ">= 0", "epsilon=-0.1"],
    ),
    "autoattack_radius_as_text": (
        auto(epsilon="8/255"),
        ["`epsilon`", "a number", "'8/255'"],
    ),
    "autoattack_radius_nan": (
        auto(epsilon=float("nan")),
        ["`epsilon`", "a number", "nan"],
    ),
    "autoattack_radius_called_eps": (
        auto(eps=0.1),
        ["autoattack() has no argument `eps`", "'epsilon'"],
    ),
    "autoattack_norm_of_another_library": (
        auto(norm="Linf"),
        ["autoattack() has no argument `norm`"],
    ),
    "autoattack_norm_in_capitals": (
        auto(threat_model="Linf"),
        ["`threat_model`", "'linf', 'l2'", "'Linf'"],
    ),
    "autoattack_norm_l1": (
        auto(threat_model="l1"),
        ["`threat_model`", "'linf', 'l2'"],
    ),
    "autoattack_unknown_version": (
        auto(version="standart"),
        ["`version`", "'standard', 'plus', 'rand'", "'standart'"],
    ),
    "autoattack_version_custom": (
        auto(version="custom"),
        ["`version`", "'custom'"],
    ),
    "autoattack_seed_below_0": (auto(seed=-1), ["`seed`", ">= 0", "-1"]),
    "autoattack_seed_none": (auto(seed=None), ["`seed`", "None"]),
    "autoattack_batch_of_none": (
        auto(batch_size=0),
        ["`batch_size`", ">= 1", "batch_size=0"],
    ),
    "autoattack_batch_of_half": (
        auto(batch_size=2.5),
        ["`batch_size`", "a whole number", "2.5"],
    ),
    "autoattack_clip_upside_down": (
        auto(clip=(1.0, 0.0)),
        ["`clip`", "(smallest, largest)"],
    ),
    "autoattack_pixels_of_255": (
        auto(x=lambda x: 255 * x),
        ["`x` must lie in [0, 1]", "divide pixels of 0..255 by 255"],
    ),
    "autoattack_uint8": (
        auto(x=lambda x: (255 * x).astype(np.uint8)),
        ["`x` must hold float images", "by 255"],
    ),
    "autoattack_normalised_images": (
        auto(x=lambda x: 2 * x - 1),
        ["`x` must lie in [0, 1]", "layer of the network", "`clip`"],
    ),
    "autoattack_channels_first": (
        auto(x=lambda x: np.moveaxis(x, -1, 1)),
        ["`x` must have the shape (batch, 4, 4, 1)"],
    ),
    "autoattack_no_images": (
        auto(x=lambda x: x[:0], y=lambda y: y[:0]),
        ["`x` must hold one image or more"],
    ),
    "autoattack_one_hot": (
        auto(y=lambda y: np.eye(3)[y]),
        ["`y` must hold one class index per image", "np.argmax"],
    ),
    "autoattack_labels_from_1": (
        auto(y=lambda y: y + 1),
        ["`y` must hold classes from 0 to 2", "Received: 3"],
    ),
    "autoattack_fewer_labels": (
        auto(y=lambda y: y[:5]),
        ["`y` must hold one label for each image", "5 labels, 12 images"],
    ),
    "autoattack_softmax": (
        auto(network=lambda given: given.network(activation="softmax")),
        ["`model` ends in a softmax", "'last'"],
    ),
    "autoattack_path_as_model": (
        auto(network=lambda given: "runs/model.keras"),
        ["`model` must be a Keras model", "'runs/model.keras'"],
    ),
    "autoattack_two_inputs": (
        auto(network=two_inputs),
        ["`model` has 2 input(s)"],
    ),
    "autoattack_one_logit": (
        auto(network=lambda given: given.network(1), y=lambda y: 0 * y),
        ["`model` must return logits", "two classes or more"],
    ),
    "autoattack_in_a_graph": (
        in_a_graph,
        ["outside of `tf.function`", "`apgd`"],
    ),
    "autoattack_state_is_a_table": (
        state("state.tsv"),
        ["`state` must be a path that ends in .npz"],
    ),
    "autoattack_state_is_a_text": (
        state("state.npz", b"robust"),
        ["state.npz is no AutoAttack to resume", "delete it"],
    ),
    "autoattack_state_is_another_archive": (
        archive,
        ["state.npz is no AutoAttack to resume", "delete it"],
    ),
    "autoattack_state_is_a_number": (
        auto(state=3),
        ["a path must be a text"],
    ),
    "autoattack_rows_of_pixels": (
        auto(x=lambda x: x.reshape(-1, 16), network=flat),
        ["`x` must have the shape (batch, height, width, channels)", "Reshape"],
    ),
    "autoattack_progress_as_bool": (
        auto(progress=True),
        ["`progress`", "'auto'", "'none'", "progress=True"],
    ),
    "autoattack_dataset_as_images": (
        lambda given: auto(x=lambda x: given.dataset())(given),
        ["`x` must hold float images", "np.concatenate", "Dataset"],
    ),
    "autoattack_without_labels": (
        auto(y=lambda y: None),
        ["`y` must hold one class index per image"],
    ),
    "autoattack_apgd_unknown_loss": (
        apgd(loss="dlr-targeted"),
        ["`loss`", "'ce', 'dlr', 'dlr_targeted'", "'dlr-targeted'"],
    ),
    "autoattack_apgd_steps_below_0": (
        apgd(num_steps=-1),
        ["`num_steps`", ">= 0", "-1"],
    ),
    "autoattack_apgd_step_size": (
        apgd(step_size=0.1),
        ["apgd() has no argument `step_size`"],
    ),
    "autoattack_apgd_no_target": (
        apgd(loss="dlr_targeted", num_targets=0),
        ["`num_targets`", ">= 1"],
    ),
    "autoattack_apgd_class_as_target": (
        apgd(loss="dlr_targeted", target="cat"),
        ["`target`", "a whole number", "'cat'"],
    ),
    "autoattack_apgd_rank_out_of_range": (
        apgd(loss="dlr_targeted", target=2),
        ["`target`", "below 2", "target=2"],
    ),
    "autoattack_apgd_target_without_targets": (
        apgd(loss="ce", target=1),
        ["`target`", "loss='dlr_targeted'", "'ce'"],
    ),
    "autoattack_fab_rank_out_of_range": (
        fab(target=2),
        ["`target`", "below 2", "target=2"],
    ),
    "autoattack_fab_target_without_targets": (
        fab(target=0, targeted=False),
        ["`target`", "targeted=True", "targeted=False"],
    ),
    "autoattack_fmn_loss_of_the_benchmark": (
        fmn(loss="LL"),
        ["`loss`", "'margin', 'ce', 'dlr'", "'LL'"],
    ),
    "autoattack_fmn_unknown_optimizer": (
        fmn(optimizer="SGD"),
        ["`optimizer`", "'sgd', 'adam', 'adamax'", "'SGD'"],
    ),
    "autoattack_fmn_unknown_schedule": (
        fmn(schedule="CALR"),
        ["`schedule`", "'cosine', 'plateau', 'constant'", "'CALR'"],
    ),
    "autoattack_fmn_no_step": (
        fmn(step_size=0),
        ["`step_size`", "> 0"],
    ),
    "autoattack_evaluated_misspelt": (
        evaluated(attacks=["auto_attack"]),
        ["unknown attack 'auto_attack'", "'autoattack'"],
    ),
    "autoattack_evaluated_with_version": (
        evaluated(version="plus"),
        ["version"],
    ),
}

COMMANDS = {
    "autoattack_flag_misspelt": (
        "pretrain --model=digits_model --eval_attacks=autoatack",
        ["unknown attack 'autoatack'", "'autoattack'"],
    ),
}
