"""What `pretrain`, `prune` and `finetune` share: one phase, start to end."""

from __future__ import annotations

from flags import phase_flags
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.run import source
from trainers.terminal import results
from trainers.training import experiment
from trainers.training import finishing
from trainers.training import settings


def run(phase: str) -> None:
    """Runs one phase as the flags say, and shows what came of it.

    Args:
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
    """
    parsed = settings.from_flags()
    epochs = phase_flags.epochs_from_flags(phase, parsed.epochs)
    if phase == "prune":
        epochs = parsed.pruning.epochs(epochs, phase_flags.name(phase))
    if phase != "pretrain" and parsed.model.source is None:
        raise InputError(
            "--source is required: the folder of a run, or a .keras file"
        )
    run = experiment.Experiment(parsed, phase)
    run.begin({phase: epochs})
    network = run.run_phase(
        phase,
        lambda: _network(phase, run, epochs),
        epochs,
        origin=source.fingerprint(run.source_path) if run.source_path else None,
    )
    run.measure(phase, network)
    finishing.finish(run, phase, network)
    run.workers.on_chief(lambda: _show(run, phase))


def _show(run: experiment.Experiment, phase: str) -> None:
    """Shows what came of the phase."""
    if not run.worked:
        say(f"{run.folder.path}: finished before; nothing to do")
    metrics = run.folder.read_metrics()
    rows = [
        (
            phase,
            metrics["phases"][phase],
            metrics["artifacts"]["saved_model"],
        )
    ]
    say(f"\n{results.table(rows)}\n")
    say(f"SavedModel: {run.folder.saved_model}")
    if run.folder.density_plot.is_file():
        say(f"Densities: {run.folder.density_plot}")
    if run.folder.learning_curves.is_file():
        say(f"Validation: {run.folder.learning_curves}")
    say(f"All figures: {run.folder.metrics}")


def _network(phase: str, run: experiment.Experiment, epochs: int):
    """Returns the network that the phase starts from."""
    network = run.first_network()
    if phase == "prune":
        return run.start_pruning(network, epochs)
    return network
