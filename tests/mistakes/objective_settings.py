"""Settings of an objective that are none."""

import hydra_tf as ht

# Name: what is done, given a `Given`; and the words of its error.
PYTHON = {
    "objective_steps_below_0": (
        lambda given: ht.objectives.TRADES(num_steps=-1),
        ["`num_steps`", "num_steps=-1"],
    ),
}

# Name: a command line, in which {folder} is an empty folder; and the words.
COMMANDS = {
    "objective_unknown": (
        "pretrain --model=digits_model --objective=trade",
        ["--objective=trade", "'trades'"],
    ),
}
