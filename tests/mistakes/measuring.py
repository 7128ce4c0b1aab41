"""What an evaluation and its checks are asked for, and cannot do."""

import numpy as np

import hydra_tf as ht


def _sanity(images=None, labels=None, network=None, **settings):
    """Returns a row's function: the checks with one thing changed."""

    def mistake(given):
        ht.evaluation.sanity(
            network(given) if network else given.network(),
            given.images if images is None else images(given.images),
            given.labels if labels is None else labels(given.labels),
            **settings,
        )

    return mistake


def _curve(distances, radii):
    return lambda given: ht.evaluation.security_curve(distances, radii)


PYTHON = {
    "sanity_progress_as_bool": (
        _sanity(progress=True),
        ["`progress`", "'auto'", "'none'", "progress=True"],
    ),
    "evaluated_progress_misspelt": (
        lambda given: ht.evaluation.evaluate(
            given.network(), given.images, given.labels, progress="bar"
        ),
        ["`progress`", "'auto'", "'bar'"],
    ),
    "certified_progress_as_bool": (
        lambda given: ht.evaluation.certify(
            given.network(), given.images, given.labels, progress=True
        ),
        ["`progress`", "'auto'", "progress=True"],
    ),
    "sanity_at_radius_0": (
        _sanity(epsilon=0),
        ["`epsilon`", "above 0", "epsilon=0"],
    ),
    "sanity_radius_in_levels": (
        _sanity(epsilon=8),
        ["`epsilon`", "threat_model=linf", "8/255"],
    ),
    "sanity_pixels_of_255": (
        _sanity(images=lambda x: 255 * x),
        ["`images` must lie in [0, 1]", "divide pixels of 0..255 by 255"],
    ),
    "sanity_one_hot": (
        _sanity(labels=lambda y: np.eye(3)[y]),
        ["`labels` must hold one class index per image", "np.argmax"],
    ),
    "sanity_no_images": (
        _sanity(images=lambda x: x[:0], labels=lambda y: y[:0]),
        ["`images` must hold one image or more"],
    ),
    "sanity_softmax": (
        _sanity(network=lambda given: given.network(activation="softmax")),
        ["`model` ends in a softmax", "'last'"],
    ),
    "sanity_path_as_model": (
        _sanity(network=lambda given: "runs/model.keras"),
        ["`model` must be a Keras model", "'runs/model.keras'"],
    ),
    "sanity_setting_misspelt": (
        _sanity(steps=10),
        ["no setting `steps`", "num_steps"],
    ),
    "sanity_settings_of_certification": (
        lambda given: ht.evaluation.sanity(
            given.network(),
            given.images,
            given.labels,
            ht.evaluation.CertificationSettings(),
        ),
        ["`settings` must be of EvaluationSettings"],
    ),
    "curve_of_a_negative_radius": (
        _curve([0.1, 0.2], [-0.1]),
        ["`radii` must hold numbers >= 0"],
    ),
    "curve_of_images": (
        _curve(np.zeros((2, 4, 4, 1)), [0.1]),
        ["`distances`", "in one row"],
    ),
    "curve_of_nothing": (
        _curve([], [0.1]),
        ["`distances` must hold that of one image or more"],
    ),
    "balanced_accuracy_of_other_images": (
        lambda given: ht.evaluation.balanced_accuracy(
            given.labels, given.labels[:5] == 0
        ),
        ["`right`", "one value for each", "(12,)", "(5,)"],
    ),
    "interval_of_a_share": (
        lambda given: ht.evaluation.wilson_interval(80, 0.8),
        ["`num_examples` must be an integer >= 1", "0.8"],
    ),
}
