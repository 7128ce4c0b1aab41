"""Help, misspelt flags, stray arguments: answered at once, in one line."""

import resource
import subprocess
import sys

import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver

from flags import preset_flags
from hydra_tf import files
from hydra_tf.registry.table import import_object
from tests import disks
from tests.trainers import binaries
from trainers.terminal import startup

NAMES = ["pretrain", "prune", "finetune", "evaluate", "export", "pipeline"]


def cpu_seconds():
    """Those of all processes that have ended, whatever runs beside them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def answer(name, *arguments):
    """Returns exit code, stdout, stderr and CPU seconds of a binary."""
    before = cpu_seconds()
    done = subprocess.run(
        [sys.executable, "-m", f"trainers.{name}", *arguments],
        cwd=binaries.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    seconds = cpu_seconds() - before
    return done.returncode, done.stdout, done.stderr, seconds


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_every_flag_within_two_seconds(name):
    code, out, err, seconds = answer(name, "--help")
    assert (code, err) == (0, "")
    assert seconds < 2
    for flag in (
        "dataset data_dir model objective method allocation density epsilon "
        "step_size num_steps batch_size learning_rate seed precision strategy "
        "output_dir source pretrain_epochs prune_epochs finetune_epochs"
    ).split():
        assert f"\n  --{flag}: " in out, flag
    assert ("\n  --epochs: " in out) == (name != "pipeline")
    assert f"python -m trainers.{name} " in out
    # With range and default.
    assert "\n    (a number in (0, 1])\n" in out
    assert "\n    (default: '128')\n" in out


def test_python_without_the_packages_says_what_to_install():
    done = subprocess.run(
        # Without site-packages.
        [sys.executable, "-S", "-m", "trainers.pipeline", "--list_presets"],
        cwd=binaries.ROOT,
        env={},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {sys.executable} lacks ")
    assert "requirements.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_certify_has_flags_of_its_own():
    code, out, err, seconds = answer("certify", "--help")
    assert (code, err) == (0, "")
    assert seconds < 2
    for flag in (
        "source method epsilons radii sigma n0 n alpha dtype dataset data_dir "
        "num_examples batch_size seed output_dir"
    ).split():
        assert f"\n  --{flag}: " in out, flag
    assert "--density" not in out
    code, out, err, seconds = answer("certify", "--epsilon=0.1")
    assert (code, out) == (2, "")
    assert "'epsilon'. Did you mean: epsilons" in err, err
    assert err.count("\n") == 1
    assert seconds < 2


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--densty=0.1"], "'densty'. Did you mean: density"),
        (["--density=95"], "--density=95: must be a number in (0, 1]"),
        (["--objective=trade"], "Did you mean 'trades'?"),
        (["--method=hidra"], "Did you mean 'hydra'?"),
        (["stray"], "unexpected argument 'stray'"),
        (["--flagfile=/nowhere.flags"], "/nowhere.flags: there is no such"),
        (["--flagfile=/"], "--flagfile=/: cannot be read: Is a directory"),
        (["--preset=digits_dem"], "did you mean --preset=digits_demo or"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_mistake_is_one_line_before_tensorflow_is_imported(arguments, words):
    code, out, err, seconds = answer("prune", *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("prune: error: ")
    assert words in err
    assert err.count("\n") == 1
    assert seconds < 2


def test_recipes_are_listed_at_once():
    code, out, err, seconds = answer("pipeline", "--list_presets")
    assert (code, err) == (0, "")
    assert seconds < 2
    assert out == preset_flags.listing()


def test_certify_says_that_recipes_are_of_training():
    code, out, err, _ = answer("certify", "--preset=digits_demo")
    assert (code, out) == (2, "")
    assert err == (
        "certify: error: flag --preset=digits_demo: recipes are of training; "
        "this program takes none\n"
    )


@pytest.mark.parametrize(
    "program, name, typed",
    [
        ("/x/trainers/prune.py", "prune", "python -m trainers.prune"),
        ("/bin/hydra-tf-prune", "prune", "hydra-tf-prune"),
    ],
)
def test_binary_knows_how_it_was_started(program, name, typed, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "--density=0.1"])
    assert (startup.name(), startup.program()) == (name, typed)


def ends(main, monkeypatch, capfd):
    """Returns exit code and stderr of a binary with such a main function."""
    monkeypatch.setattr(sys, "argv", ["prune.py"])
    with pytest.raises(SystemExit) as stop:
        startup.run(main, flags.FlagValues())
    return stop.value.code, capfd.readouterr().err


@pytest.mark.parametrize(
    "make_mistake, words",
    [
        (lambda folder: open(folder / "none"), "none cannot be used: No such"),
        (
            lambda folder: (folder / ("x" * 300)).write_text(""),
            "cannot be used: File name too long",
        ),
        (
            lambda folder: tf.io.write_file(str(folder / "a"), "x" * 100),
            "a cannot be used: File too large",
        ),
        (
            lambda folder: (folder / "a").write_text("x" * 100),
            "a file cannot be used: File too large",
        ),
        (
            lambda folder: files.write_text(folder / "a", "x" * 100),
            "a cannot be written: File too large; raise the limit",
        ),
    ],
)
def test_a_user_s_path_or_disk_is_one_line(
    make_mistake, words, tmp_path, monkeypatch, capfd
):
    def main():
        with disks.file_size_limit(50):
            make_mistake(tmp_path)

    code, err = ends(main, monkeypatch, capfd)
    assert code == 1
    assert err.startswith("prune: error: ") and err.count("\n") == 1
    assert words in err


def test_a_defect_keeps_its_traceback(monkeypatch, capfd):
    def main():
        open(startup.__file__ + ".none")

    monkeypatch.setattr(sys, "argv", ["prune.py"])
    with pytest.raises(FileNotFoundError):
        startup.run(main, flags.FlagValues())
    with pytest.raises(ZeroDivisionError):
        startup.run(lambda: 1 // 0, flags.FlagValues())


def test_full_stdout_is_one_line(tmp_path):
    program = (
        "import sys\n"
        "from trainers.terminal import startup\n"
        "from absl import flags\n"
        "startup._import_tensorflow = lambda: None\n"
        "def main(): print('x' * 100000)\n"
        "startup.run(main, flags.FlagValues())\n"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=binaries.ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "-c: error: a file cannot be used: No space left on device\n"
    )


def test_failure_of_a_user_s_code_is_one_line(monkeypatch, tmp_path, capfd):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_startup_example.py").write_text("def f():\n    {}[1]\n")

    def main():
        import_object("own_startup_example:f")()

    monkeypatch.setattr(sys, "argv", ["/x/trainers/prune.py"])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stop:
        flags.FLAGS.unparse_flags()
        startup.run(main)
    assert stop.value.code == 1
    assert capfd.readouterr().err == (
        "prune: error: 'own_startup_example:f' raised KeyError: 1 "
        "(own_startup_example.py, line 2 in f: {}[1])\n"
    )
