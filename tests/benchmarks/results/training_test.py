"""What cells of the study train on and are measured on."""

import numpy as np

from benchmarks.results import studies
from benchmarks.results import training


def test_held_out_images_have_the_classes_shares():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 141))
    seen = []
    for seed in range(studies.FOLDS):
        kept, held_out = training.fold(labels, seed)
        assert sorted([*kept, *held_out]) == list(range(len(labels)))
        for rows in (kept, held_out):
            share = len(rows) / len(labels)
            counts = np.bincount(labels[rows], minlength=10)
            assert np.all(np.abs(counts - 141 * share) < 2)
        seen += held_out.tolist()
    # Seeds take turns.
    assert sorted(seen) == list(range(len(labels)))
