"""The parsed flags as a file."""

from absl import flags
from absl.testing import flagsaver

from trainers.run.flagfile import as_flagfile
from trainers.training import settings


def test_flagfile_gives_the_same_settings_again(tmp_path):
    arguments = [
        "--epsilon=8/255",
        "--noaugment",
        "--compare=lwm,random",
        "--overwrite",
        "--model=vgg16_bn",
        "--source=a,b",
        "--source=c",
    ]
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        first = settings.from_flags()
        path = tmp_path / "flags.txt"
        path.write_text(as_flagfile("command"))
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", f"--flagfile={path}"])
        again = settings.from_flags()
    assert first.run.overwrite and not again.run.overwrite
    for family in ("data", "model", "pruning", "epochs", "optimizers"):
        assert getattr(first, family) == getattr(again, family)
    assert repr(first.objective) == repr(again.objective)
