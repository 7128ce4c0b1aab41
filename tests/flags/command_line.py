"""What a command line stands for."""

from absl import flags
from absl.testing import flagsaver

from trainers.training import settings


def parse(*arguments):
    """Returns the settings that a command line stands for."""
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        return settings.from_flags()


def objective(*arguments, phase="pretrain", epochs=10):
    """Returns a phase's objective and its record."""
    parsed = parse(*arguments)
    return (
        parsed.objective_of(phase, epochs),
        parsed.objective_record(phase, epochs),
    )
