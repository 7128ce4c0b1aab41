"""Strategies, devices and clusters that there are not."""

import json
import os
from unittest import mock

import tensorflow as tf

import hydra_tf as ht
from hydra_tf import training

_TASK = {"type": "worker", "index": 0}


def with_config(config, **settings):
    """Returns a mistake made under a TF_CONFIG."""
    text = config if isinstance(config, str) else json.dumps(config)

    def make(given):
        tf.zeros(())  # TensorFlow runs, whichever tests came before.
        with mock.patch.dict(os.environ, {"TF_CONFIG": text}):
            training.connect(**settings)

    return make


def trains(strategy):
    def make(given):
        ht.training.run_phase(
            given.network(),
            "pretrain",
            (given.images, given.labels),
            given.objective(),
            epochs=1,
            folder=given.folder / "run",
            strategy=strategy,
        )

    return make


PYTHON = {
    "TF_CONFIG is no JSON": (
        with_config("worker0:1,worker1:1"),
        ["TF_CONFIG cannot be read", '"cluster"'],
    ),
    "TF_CONFIG without a task": (
        with_config({"cluster": {"worker": ["a:1", "b:1"]}}),
        ["TF_CONFIG must say which", '"index"'],
    ),
    "TF_CONFIG with a task too many": (
        with_config(
            {
                "cluster": {"worker": ["a:1", "b:1"]},
                "task": {"type": "worker", "index": 2},
            }
        ),
        ["index 2 of 2 workers"],
    ),
    "TF_CONFIG without ports": (
        with_config({"cluster": {"worker": ["a", "b"]}, "task": _TASK}),
        ["'host:port'", "'a'"],
    ),
    "TF_CONFIG with a parameter server": (
        with_config(
            {"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": _TASK}
        ),
        ["'chief'", "'ps'"],
    ),
    "many workers after TensorFlow began": (
        with_config({"cluster": {"worker": ["a:1", "b:1"]}, "task": _TASK}),
        ["before TensorFlow runs", "make_strategy"],
    ),
    "no such resolver": (
        with_config("{}", cluster_resolver="mesos"),
        ["`cluster_resolver` must be", "slurm"],
    ),
    "more mirrored devices than there are": (
        trains("mirrored:64"),
        ["`strategy`", "at most", "mirrored:64"],
    ),
    "mirrored devices that are no number": (
        trains("mirrored:two"),
        ["`strategy` must be", "mirrored:2"],
    ),
    "no TPU here": (trains("tpu"), ["strategy='tpu'", "finds none"]),
    "many workers of no cluster": (
        trains("multi_worker"),
        ["'multi_worker'` needs a cluster", "TF_CONFIG"],
    ),
}

COMMANDS = {
    "command without TF_CONFIG": (
        "pretrain --strategy=multi_worker",
        ["--strategy=multi_worker needs a cluster", "TF_CONFIG"],
    ),
    "command outside of Slurm": (
        "pipeline --strategy=multi_worker --cluster_resolver=slurm",
        ["--cluster_resolver=slurm finds no cluster", "SLURM_PROCID"],
    ),
    "command without the number of pods": (
        "evaluate --strategy=multi_worker --cluster_resolver=kubernetes "
        "--source=x",
        ["needs --num_workers"],
    ),
    "command without TPUs": (
        "finetune --strategy=tpu --source=x",
        ["--strategy=tpu needs a machine with TPUs"],
    ),
    "command of a sweep on many workers": (
        "sweep --strategy=multi_worker --grid=seed=0,1",
        ["--strategy=multi_worker is for pretrain", "one process"],
    ),
    "command for too many devices": (
        "pretrain --strategy=mirrored:64",
        ["--strategy must be for at most", "mirrored:64"],
    ),
    "command with no time to wait": (
        "pretrain --strategy=multi_worker --worker_timeout=0",
        ["--worker_timeout", "Seconds to wait"],
    ),
}
