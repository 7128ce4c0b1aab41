"""What the names in `metrics.json` mean, in words for model cards."""

from __future__ import annotations

PROOFS = {
    "ibp": "interval bounds",
    "crown_ibp": "CROWN over interval bounds",
    "crown": "CROWN",
    "symbolic": "symbolic intervals",
    "best": "the larger one of interval and CROWN bounds",
    "smoothing": "randomised smoothing of the network",
}
METHODS = {
    "hydra": "importance scores trained on the objective itself (HYDRA, "
    "Sehwag et al., 2020)",
    "harp": "importance scores and the density of each layer trained on the "
    "objective itself (HARP, Zhao and Wressnegger, 2023)",
    "lwm": "the weights of least magnitude removed (LWM)",
    "lwm_multistep": "the weights of least magnitude removed in several "
    "rounds, with training between them (multi-step LWM)",
    "random": "weights removed at random, as a baseline",
    "snip": "connection sensitivity on one batch (SNIP, Lee et al., 2019)",
}
THREAT_MODELS = {"linf": "L-infinity", "l2": "L2"}
PHASES = {
    "pretrain": "pretrain (not pruned)",
    "prune": "prune (before fine-tuning)",
    "finetune": "finetune (the result)",
}
