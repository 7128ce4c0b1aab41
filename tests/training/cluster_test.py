"""The cluster that TensorFlow's resolvers name, and what is wrong with it."""

import json
import time
import types

import pytest
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError
from hydra_tf.training import cluster
from hydra_tf.training import workers

TWO = {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}


def set_config(monkeypatch, jobs, kind="worker", index=0):
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))


@pytest.mark.parametrize(
    ("jobs", "kind", "index", "words"),
    [
        ({}, "worker", 0, "TF_CONFIG names none"),
        (TWO, "worker", 2, "index 2 of 2 workers"),
        (TWO, "chief", 0, "type 'chief'"),
        (TWO, None, None, "which of its workers this one is"),
        ({"worker": ["10.0.0.1"]}, "worker", 0, "'host:port'"),
        ({"worker": ["a:0", "b:1"]}, "worker", 0, "port from 1.*: 'a:0'"),
        ({"worker": ["a:1", "b:99999"]}, "worker", 0, "65535.*'b:99999'"),
        ({"worker": ["a..b:1", "b:1"]}, "worker", 1, "Received: 'a..b:1'"),
        ({"worker": {"5": "a:1"}}, "worker", 5, "from task 0 on.*'worker'.*5"),
        ({"worker": ["a:1", "a:1"]}, "worker", 0, "each worker once"),
        ({**TWO, "ps": ["c:1"]}, "worker", 0, "Received: 'ps'"),
        ({"worker": 5}, "worker", 0, "TF_CONFIG cannot be read"),
    ],
)
def test_a_wrong_tf_config_is_one_line(monkeypatch, jobs, kind, index, words):
    set_config(monkeypatch, jobs, kind, index)
    if kind is None:
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs}))
    with pytest.raises(InputError, match=words) as caught:
        cluster.connect()
    assert "\n" not in str(caught.value)


def test_tf_config_that_is_no_json(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{worker: 1}")
    with pytest.raises(InputError, match="TF_CONFIG cannot be read"):
        cluster.connect()


def test_number_of_workers_must_be_that_of_the_cluster(monkeypatch):
    set_config(monkeypatch, TWO)
    with pytest.raises(InputError, match="`num_workers` must be.* 2.*=3"):
        cluster.connect(num_workers=3)


def test_tensorflow_that_runs_already_is_one_line(monkeypatch):
    tf.zeros(())  # As it does, if any other test came first.
    set_config(monkeypatch, TWO)
    with pytest.raises(InputError, match="before TensorFlow runs anything"):
        cluster.connect(worker_timeout=5)


def test_chief_comes_before_the_workers():
    jobs = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    assert workers.addresses_of(jobs) == ["a:1", "b:1", "c:1"]


def test_slurm_names_two_tasks_of_a_node_without_gpus(monkeypatch):
    for name, value in {
        "PROCID": "2",
        "STEP_NUM_TASKS": "3",
        "STEP_NODELIST": "node[1-2]",
        "STEP_TASKS_PER_NODE": "2,1",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", "")  # No nvidia-smi.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    resolver, _ = cluster._slurm()
    jobs = resolver.cluster_spec().as_dict()
    assert jobs == {"worker": ["node1:8888", "node1:8889", "node2:8888"]}
    assert workers.position_of(resolver) == 2


def test_outside_of_a_slurm_step_is_one_line(monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    with pytest.raises(InputError, match="SLURM_PROCID not found"):
        cluster.connect("slurm")


class Pods:
    """The part of a Kubernetes client that lists pods."""

    def __init__(self, hosts, phases):
        self._pods = [
            types.SimpleNamespace(
                metadata=types.SimpleNamespace(name=f"job-{number}"),
                status=types.SimpleNamespace(host_ip=host, phase=phase),
            )
            for number, (host, phase) in enumerate(
                zip(hosts, phases, strict=True)
            )
        ]

    def list_pod_for_all_namespaces(self, label_selector):
        assert label_selector == "job-name=job"
        return types.SimpleNamespace(items=self._pods)


def test_kubernetes_finds_this_pod_by_its_host():
    pods = Pods(["192.0.2.1", "127.0.0.1"], ["Running"] * 2)
    resolver = cluster.kubernetes_resolver(pods, "job", 2, time.monotonic())
    assert resolver.cluster_spec().as_dict() == {
        "worker": ["192.0.2.1:8470", "127.0.0.1:8470"]
    }
    assert workers.position_of(resolver) == 1


@pytest.mark.parametrize(
    ("hosts", "phases", "words"),
    [
        (["127.0.0.1"], ["Running"], "1 running pods, not `num_workers=2`"),
        (["127.0.0.1"] * 2, ["Running", "Pending"], "0 running pods"),
    ],
)
def test_pods_that_do_not_come_are_one_line(hosts, phases, words):
    with pytest.raises(WorkersError, match=words):
        cluster.kubernetes_resolver(
            Pods(hosts, phases), "job", 2, time.monotonic() - 1
        )


def test_pods_on_other_hosts_alone_are_one_line():
    pods = Pods(["192.0.2.1"], ["Running"])
    with pytest.raises(InputError, match="hostNetwork"):
        cluster.kubernetes_resolver(pods, "job", 1, time.monotonic())


def test_kubernetes_needs_the_number_of_its_pods():
    with pytest.raises(InputError, match="needs `num_workers`"):
        cluster.connect("kubernetes")
