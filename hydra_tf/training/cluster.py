"""The workers that train together, found by TensorFlow's own resolvers."""

from __future__ import annotations

import contextlib
import faulthandler
import re
import socket
import time
from typing import Any

import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError
from hydra_tf.registry.training import CLUSTER
from hydra_tf.training.rendezvous import meet
from hydra_tf.training.workers import JOBS
from hydra_tf.training.workers import addresses_of
from hydra_tf.training.workers import position_of

_SETTINGS = {setting.name: setting for setting in CLUSTER}
_KUBERNETES_PORT = 8470
# How often it is asked for the pods.
_SECONDS = 2.0
# What TensorFlow's servers may take to find each other, in seconds.
_STARTING = 60
_ADDRESS = re.compile(r"(\[?[^\s/]+):(\d{1,5})")
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)

# A process can belong to one cluster alone.
_connected: list[tf.distribute.MultiWorkerMirroredStrategy] = []


def connect(
    cluster_resolver: str = "tf_config",
    *,
    num_workers: int | None = None,
    worker_timeout: int = 600,
    kubernetes_job: str = "tensorflow",
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Returns the strategy of a cluster, once all of its workers are there.

    Every worker calls it, before TensorFlow has run anything else in its
    process; a second call returns the same strategy.

    Args:
        cluster_resolver: `"tf_config"` for the environment variable TF_CONFIG,
            `"slurm"` for a Slurm step, `"kubernetes"` for the pods of a Job on
            the network of their hosts.
        num_workers: Integer >= 1, how many workers there must be; needed with
            `"kubernetes"`.
        worker_timeout: Integer >= 1, seconds to wait for them.
        kubernetes_job: Name of the Job.

    Raises:
        InputError: If there is no such cluster, or this process is none of its
            workers.
        WorkersError: If not all workers come in time.
    """
    if _connected:
        return _connected[0]
    for name, value in (
        ("cluster_resolver", cluster_resolver),
        ("num_workers", num_workers),
        ("worker_timeout", worker_timeout),
        ("kubernetes_job", kubernetes_job),
    ):
        _SETTINGS[name].check(value)
    deadline = time.monotonic() + worker_timeout
    if cluster_resolver == "kubernetes":
        resolver, what = _kubernetes(kubernetes_job, num_workers, deadline)
    elif cluster_resolver == "slurm":
        resolver, what = _slurm()
    else:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        what = "TF_CONFIG"
    cluster, task = _checked(resolver, what, num_workers)
    _check_first()
    _connected.append(_within(deadline, cluster, task))
    return _connected[0]


def _checked(
    resolver: Any, what: str, num_workers: int | None
) -> tuple[dict[str, list[str]], tuple[str, int]]:
    """Returns the cluster and this worker's task, as far as they can be."""
    with _named(what):
        cluster = resolver.cluster_spec().as_dict()
        task = (resolver.task_type, resolver.task_id)
    if not cluster:
        raise InputError(
            f"`strategy='multi_worker'` needs a cluster, and {what} names "
            f"none; set it on every worker as in {_EXAMPLE}"
        )
    addresses = addresses_of(cluster)
    for job in cluster:
        if job not in JOBS:
            raise InputError(
                f"{what} must have the jobs 'worker' and perhaps 'chief' alone."
                f" Received: {job!r}"
            )
    for job, tasks in cluster.items():
        if not isinstance(tasks, list):
            raise InputError(
                f"{what} must list the workers of a job from task 0 on. "
                f"Received: {job!r} with the tasks "
                f"{', '.join(map(str, tasks))} alone"
            )
    for address in addresses:
        if not _is_address(address):
            raise InputError(
                f"{what} must give each worker as 'host:port', with a port "
                f"from 1 to 65535. Received: {address!r}"
            )
    if len(set(addresses)) < len(addresses):
        raise InputError(
            f"{what} must name each worker once. Received: "
            f"{', '.join(addresses)}"
        )
    job, index = task
    if not isinstance(index, int) or not 0 <= index < len(
        cluster.get(job or "", ())
    ):
        raise InputError(
            f"{what} must say which of its workers this one is, as in "
            f'"task": {{"type": "worker", "index": 0}}. Received: type {job!r},'
            f" index {index!r} of {len(addresses)} workers"
        )
    if num_workers is not None and num_workers != len(addresses):
        raise InputError(
            f"`num_workers` must be the number of workers in {what}, "
            f"{len(addresses)}. Received: num_workers={num_workers}"
        )
    return cluster, (job, index)


def _is_address(address: Any) -> bool:
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 1 <= int(match[2]) <= 65535:
        return False
    try:
        # As `socket` does, which says no more than UnicodeError.
        match[1].encode("idna")
    except UnicodeError:
        return False
    return True


def _within(
    deadline: float,
    cluster: dict[str, list[str]],
    task: tuple[str, int],
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Returns the strategy, whose constructor waits for all workers."""
    job, index = task
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster),
        task_type=job,
        task_id=index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    seconds = max(deadline - time.monotonic(), 1.0)
    meet(addresses_of(cluster), position_of(resolver), seconds)
    # One that is killed right now leaves the others in TensorFlow for good.
    faulthandler.dump_traceback_later(seconds + _STARTING, exit=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(
            cluster_resolver=resolver
        )
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise WorkersError(
            f"worker {cluster[job][index]} cannot start: {text}"
        ) from error
    finally:
        faulthandler.cancel_dump_traceback_later()


def _check_first() -> None:
    """Raises `InputError` if TensorFlow has run anything in this process."""
    threading = tf.config.threading
    number = threading.get_inter_op_parallelism_threads()
    try:
        # Cannot be set any more then.
        threading.set_inter_op_parallelism_threads(number + 1)
        threading.set_inter_op_parallelism_threads(number)
    except RuntimeError as error:
        raise InputError(
            "`strategy='multi_worker'` must be made before TensorFlow runs "
            "anything else: call hydra_tf.training.make_strategy("
            "'multi_worker') first of all"
        ) from error


def _slurm() -> tuple[Any, str]:
    what = "`cluster_resolver='slurm'`"
    with _named(what):
        try:
            resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
            if resolver.num_accelerators()["GPU"]:
                return resolver, what
        except FileNotFoundError:
            pass  # No nvidia-smi, which it asks for the number of GPUs.
        return _SlurmWithoutGpus(
            gpus_per_node=0, gpus_per_task=0, auto_set_gpu=False
        ), what


def _kubernetes(
    job: str, num_workers: int | None, deadline: float
) -> tuple[Any, str]:
    what = f"the pods of `kubernetes_job={job}`"
    if num_workers is None:
        raise InputError(
            "`cluster_resolver='kubernetes'` needs `num_workers`: it sees only "
            "the pods that run already"
        )
    try:
        from kubernetes import client
        from kubernetes import config
    except ImportError as error:
        raise InputError(
            "`cluster_resolver='kubernetes'` needs the package kubernetes: pip "
            "install kubernetes"
        ) from error
    with _named(what):
        config.load_incluster_config()
        return kubernetes_resolver(
            client.CoreV1Api(), job, num_workers, deadline
        ), what


def kubernetes_resolver(
    client: Any, job: str, num_workers: int, deadline: float
) -> Any:
    """Returns the resolver of a Job, once all of its pods run.

    Args:
        client: A `kubernetes.client.CoreV1Api`.
        job: Name of the Job.
        num_workers: Number of its pods.
        deadline: When to stop waiting, as of `time.monotonic`.

    Raises:
        WorkersError: If they do not run by then.
        InputError: If none of them is on this host.
    """
    resolver = tf.distribute.cluster_resolver.KubernetesClusterResolver(
        {"worker": [f"job-name={job}"]},
        tf_server_port=_KUBERNETES_PORT,
        override_client=client,
    )
    found: list[str] = []
    while len(found) != num_workers:
        # It raises while a pod waits to be scheduled.
        with contextlib.suppress(RuntimeError):
            found = resolver.cluster_spec().as_dict().get("worker", [])
        if len(found) == num_workers:
            break
        if time.monotonic() > deadline:
            raise WorkersError(
                f"`kubernetes_job={job}` has {len(found)} running pods, not "
                f"`num_workers={num_workers}`"
            )
        time.sleep(_SECONDS)
    own = [number for number, each in enumerate(found) if _is_here(each)]
    if not own:
        raise InputError(
            f"`kubernetes_job={job}` runs on {', '.join(found)}, none of which "
            "is this pod: it needs `hostNetwork: true`"
        )
    resolver.task_type, resolver.task_id = "worker", own[0]
    return resolver


def _is_here(address: str) -> bool:
    """Whether an address is one of this machine."""
    try:
        with socket.socket() as one:
            one.bind((address.rpartition(":")[0], 0))
    except OSError:
        return False
    return True


class _SlurmWithoutGpus(tf.distribute.cluster_resolver.SlurmClusterResolver):
    """Counts no GPUs: TensorFlow's own gives such nodes no task."""

    def cluster_spec(self) -> tf.train.ClusterSpec:
        hosts = sorted(self._resolve_task_configuration().items())
        self.task_type, self.task_id = "worker", self._resolve_own_rank()
        return tf.train.ClusterSpec(
            {
                "worker": [
                    f"{host}:{self._port_base + number}"
                    for host, tasks in hosts
                    for number in range(tasks)
                ]
            }
        )


@contextlib.contextmanager
def _named(what: str) -> Any:
    """Turns what a resolver raises into one line."""
    try:
        yield
    except (InputError, WorkersError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(
            f"{what} cannot be read ({type(error).__name__}: {text}); it must "
            f"be as in {_EXAMPLE}"
            if what == "TF_CONFIG"
            else f"{what} finds no cluster ({type(error).__name__}: {text})"
        ) from error
