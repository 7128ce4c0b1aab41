"""With methods whose masks move while the weights train."""

import tensorflow as tf

import hydra_tf as ht
from hydra_tf.pruning.courses import Course

HERE = __name__


class Unready(Course):
    """A course that raises."""

    def importances(self, group):
        return tf.zeros([1 / 0])


class Choosy(Course):
    """A course that says itself what it cannot prune."""

    granularities = ("weight",)

    @classmethod
    def check(cls, network, pruning):
        if pruning.density < 0.5:
            raise ht.InputError("`density` must be at least 0.5 for Choosy")


def prune(given, **settings):
    """Calls `ht.prune` with what is right but for the mistake."""
    return ht.prune(
        given.network(),
        given.dataset(),
        given.objective(),
        folder="run",
        **{"method": "feedback", "prune_epochs": 1, **settings},
    )


def run_phase(given, method, granularity="weight", **settings):
    """Trains masks that were made for another method."""
    return ht.training.run_phase(
        ht.start_pruning(given.network(), 0.5, granularity=granularity),
        "prune",
        given.dataset(),
        given.objective(),
        epochs=1,
        pruning=ht.Pruning(method=method, density=0.5, **settings),
        folder="run",
    )


PYTHON = {
    "moving_masks_of_another_granularity": (
        lambda given: run_phase(given, "live_paths", "filter"),
        ["`granularity='weight'`", "filter", "hydra_tf.Pruning"],
    ),
    "moving_masks_too_few_updates_in_a_phase": (
        lambda given: run_phase(given, "robust_bird", mask_updates=3),
        ["`mask_updates=3`", "robust_bird", "5"],
    ),
    "moving_masks_without_epochs": (
        lambda given: prune(given, prune_epochs=0),
        ["`prune_epochs=0`", "feedback", "epochs"],
    ),
    "moving_masks_setting_of_another_method": (
        lambda given: prune(given, method="hydra", mask_updates=9),
        ["`mask_updates=9`", "hydra", "'feedback'"],
    ),
    "moving_masks_no_updates": (
        lambda given: prune(given, mask_updates=0),
        ["`mask_updates`", "0"],
    ),
    "moving_masks_ramp_beyond_the_updates": (
        lambda given: prune(given, density_ramp=0.9),
        ["`density_ramp=0.9`", "`update_share=0.8`"],
    ),
    "moving_masks_ramp_of_a_pattern": (
        lambda given: prune(given, granularity="2:4", density_ramp=0.2),
        ["`density_ramp=0.2`", "2:4", "leave"],
    ),
    "moving_masks_granularity_that_it_lacks": (
        lambda given: prune(given, method="gradual", granularity="2:4"),
        ["`granularity='2:4'`", "gradual", "weight or channel or filter"],
    ),
    "moving_masks_with_rounds": (
        lambda given: prune(given, multistep=True),
        ["`multistep=True`", "feedback", "leave"],
    ),
    "moving_masks_with_scores": (
        lambda given: prune(given, scores="random"),
        ["`scores='random'`", "feedback", "leave"],
    ),
    "moving_masks_with_learned_densities": (
        lambda given: prune(given, allocation="learned"),
        ["`allocation='learned'`", "'harp'"],
    ),
    "moving_masks_of_a_method_without_one": (
        lambda given: ht.Pruning().course(
            given.masked(), epochs=1, steps_per_epoch=1
        ),
        ["`method='hydra'`", "feedback"],
    ),
    "moving_masks_of_ones_own_that_raises": (
        lambda given: prune(given, method=f"{HERE}:Unready"),
        [f"'{HERE}:Unready' raised ZeroDivisionError", "1 / 0"],
    ),
    "moving_masks_of_ones_own_that_refuses": (
        lambda given: prune(given, method=f"{HERE}:Choosy"),
        ["`density`", "at least 0.5"],
    ),
}

COMMANDS = {
    "moving_masks_flag_of_another_method": (
        "pipeline --model=digits_model --method=lwm --density_ramp=0.3",
        ["--density_ramp=0.3", "lwm", "'feedback'"],
    ),
    "moving_masks_flag_out_of_range": (
        "prune --method=feedback --update_share=0",
        ["--update_share", "0"],
    ),
    "moving_masks_pipeline_without_epochs": (
        "pipeline --model=digits_model --dataset=digits --method=gradual "
        "--prune_epochs=0 --output_dir={folder}/run",
        ["--prune_epochs=0", "gradual"],
    ),
}
