"""About FlyingBird, robust early birds and robust ADMM."""

import hydra_tf as ht


def pruning(**settings):
    """Returns a mistake made with `ht.Pruning`."""
    return lambda given: ht.Pruning(**settings)


def prune(**settings):
    """Returns a mistake made with `ht.prune`."""

    def make_mistake(given):
        epochs = {"prune_epochs": 1, "finetune_epochs": 0}
        ht.prune(
            given.network(),
            given.dataset(),
            given.objective(),
            **{**epochs, **settings},
        )

    return make_mistake


PYTHON = {
    "flying_bird_of_channels": (
        pruning(method="flying_bird", granularity="channel"),
        ["`granularity='channel'`: flying_bird", "weight or N:M"],
    ),
    "flying_bird_plus_of_n_of_m": (
        pruning(method="flying_bird_plus", granularity="2:4"),
        ["`granularity='2:4'`: flying_bird_plus", "weight alone"],
    ),
    "robust_bird_of_n_of_m": (
        pruning(method="robust_bird", granularity="1:4"),
        ["`granularity='1:4'`: robust_bird", "weight or channel or filter"],
    ),
    "r_admm_of_n_of_m": (
        prune(method="r_admm", granularity="2:4"),
        ["`granularity='2:4'`: r_admm", "weight or channel or filter"],
    ),
    "drop_share_of_nothing": (
        pruning(method="flying_bird", drop_share=0),
        ["`drop_share` must be", "(0, 1]"],
    ),
    "drop_share_in_percent": (
        prune(method="flying_bird", drop_share=50),
        ["`drop_share` must be", "(0, 1]", "50"],
    ),
    "drop_share_of_hydra": (
        pruning(method="hydra", drop_share=0.3),
        ["`drop_share=0.3`: hydra does not read it", "'flying_bird'"],
    ),
    "ticket_distance_of_nothing": (
        pruning(method="robust_bird", ticket_distance=0.0),
        ["`ticket_distance` must be", "(0, 1]"],
    ),
    "too_few_masks_to_compare": (
        prune(method="robust_bird", mask_updates=4),
        ["`mask_updates=4`: robust_bird", "at least 5"],
    ),
    "negative_rho": (
        pruning(method="r_admm", admm_rho=-0.01),
        ["`admm_rho` must be", "> 0", "-0.01"],
    ),
    "rho_of_another_method": (
        pruning(method="robust_bird", admm_rho=0.1),
        ["`admm_rho=0.1`: robust_bird does not read it", "'r_admm'"],
    ),
    "ramp_of_flying_bird": (
        pruning(method="flying_bird", density_ramp=0.5),
        ["`density_ramp=0.5`: flying_bird does not read it"],
    ),
    "flying_bird_without_epochs": (
        prune(method="flying_bird", prune_epochs=0),
        ["`prune_epochs=0`: flying_bird", "give it epochs"],
    ),
    "misspelt_bird": (
        pruning(method="flyingbird"),
        ["`method`", "Did you mean 'flying_bird'"],
    ),
}

COMMANDS = {
    "r_admm_of_n_of_m_by_flags": (
        "pipeline --method=r_admm --granularity=2:4",
        ["--granularity=2:4: r_admm", "weight or channel or filter"],
    ),
    "drop_share_of_r_admm_by_flags": (
        "pipeline --method=r_admm --drop_share=0.3",
        ["--drop_share=0.3: r_admm does not read it"],
    ),
}
