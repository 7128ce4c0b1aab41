"""What every binary does around its work: flags, help, errors, signals.

Nothing here imports TensorFlow before the flags are parsed, so that `--help`
and a misspelt flag are answered at once.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import os
import pathlib
import re
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import NoReturn

from absl import app
from absl import flags
from absl import logging

from flags import preset_flags
from hydra_tf import files
from hydra_tf import interrupts
from hydra_tf.errors import ContradictionError
from hydra_tf.errors import DivergedError
from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError
from hydra_tf.registry import own_code
from trainers.terminal.messages import in_flags

if TYPE_CHECKING:
    from hydra_tf.training import Workers

# As shells have it for a process that a signal ended.
_SIGNAL_EXIT = 128
_USAGE_EXIT = 2
_FAILURE_EXIT = 1
# Before the name of a binary that is installed as a console command.
_COMMAND = "hydra-tf-"
# Whether a failure waits for nothing: TensorFlow's threads may be waiting for a
# worker that is gone.
_leaves_at_once: list[bool] = []
# The binaries that run on many workers.
_JOIN = ("pretrain", "prune", "finetune", "pipeline", "evaluate")
_HELP = {"--help", "-help", "--helpshort", "-helpshort", "--h", "-h", "-?"}
_LIST = {"--list_presets", "-list_presets"}


def run(
    main: Callable[[], None],
    own_flags: flags.FlagValues | None = None,
    *,
    uses_gpus: bool = True,
) -> None:
    """Runs a binary's main function and exits.

    Args:
        main: Function without arguments; it reads parsed flags. An
            `hydra_tf.errors.InputError` or a `flags.Error` that it raises
            becomes one line on stderr and exit code 2.
        own_flags: Flags of a binary that knows no others; by default those of
            absl, which every module defines.
        uses_gpus: Whether it takes the GPUs that there are.
    """
    app.run(
        functools.partial(
            _run_guarded, main, own_flags or flags.FLAGS, uses_gpus
        ),
        flags_parser=functools.partial(_parse_flags, main, own_flags),
    )


def name() -> str:
    """Returns the name of the running binary, such as `prune`."""
    return pathlib.Path(sys.argv[0]).stem.removeprefix(_COMMAND)


def is_installed() -> bool:
    """Whether the running binary is a console command, not of a checkout."""
    return pathlib.Path(sys.argv[0]).stem.startswith(_COMMAND)


def program(binary: str | None = None) -> str:
    """Returns a binary as one types it, without its flags.

    Args:
        binary: Its name, by default that of the running one.
    """
    prefix = _COMMAND if is_installed() else "python -m trainers."
    return prefix + (binary or name())


def _parse_flags(
    main: Callable[[], None],
    own_flags: flags.FlagValues | None,
    argv: Sequence[str],
) -> list[str]:
    """Parses the flags; a mistake is one line and exit code 2."""
    before = set(itertools.takewhile(lambda word: word != "--", argv[1:]))
    if _HELP & before:
        _print(_help(main, own_flags or flags.FLAGS))
    if _LIST & before:
        _print(preset_flags.listing())
    try:
        if own_flags is not None:
            return _parse_own_flags(own_flags, argv)
        return flags.FLAGS([argv[0], *preset_flags.expand(argv[1:])])
    except flags.Error as error:
        _fail(str(error), _USAGE_EXIT)


def _parse_own_flags(
    own_flags: flags.FlagValues, argv: Sequence[str]
) -> list[str]:
    """Parses flags that are not absl's; those of absl's logging stay valid."""
    for name in own_flags:
        # Whatever ran before in this process.
        own_flags[name].unparse()
    own_flags.unparse_flags()
    rest = own_flags(list(argv), known_only=True)
    try:
        return flags.FLAGS(rest)
    except flags.UnrecognizedFlagError as error:
        # With the names that this binary knows as suggestions.
        hints = difflib.get_close_matches(error.flagname, list(own_flags))
        raise flags.UnrecognizedFlagError(
            error.flagname, error.flagvalue, suggestions=hints
        ) from error


def _help(main: Callable[[], None], flag_values: flags.FlagValues) -> str:
    """Returns the binary's docstring and its flags, by family."""
    # Not that of `__main__`, which is the console command where it is one.
    text = (main.__globals__["__doc__"] or "").strip()
    if is_installed():
        text = text.replace("python -m trainers.", _COMMAND)
    sections = [text]
    for module in sorted(flag_values.flags_by_module_dict()):
        if module.startswith("flags."):
            title = (sys.modules[module].__doc__ or module).split("\n")[0]
            # absl's begins with the name of the module.
            _, _, described = flag_values.module_help(module).partition(":\n")
            sections.append(f"{title}\n{described}")
    sections.append(
        "Also:\n  --flagfile=FILE: Reads flags from a file, one per line; "
        "flags given after it\n    win.\n"
        "  --helpfull: Shows the flags of absl too."
    )
    return "\n\n".join(sections) + "\n"


def _print(text: str) -> NoReturn:
    """Answers instead of running."""
    sys.stdout.write(text)
    sys.exit(0)


def _run_guarded(
    main: Callable[[], None],
    own_flags: flags.FlagValues,
    uses_gpus: bool,
    argv: Sequence[str],
) -> None:
    """Runs `main` with TensorFlow quiet, signals and errors handled."""
    if len(argv) > 1:
        _fail(
            f"unexpected argument {argv[1]!r}; every setting is a flag, "
            "--name=value. See --help.",
            _USAGE_EXIT,
        )
    interrupts.install_handlers()
    try:
        if not uses_gpus:
            # Those that TensorFlow sees it takes whole.
            os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        workers = _start_tensorflow()
        if "--verbosity" not in " ".join(sys.argv):
            logging.set_verbosity(logging.ERROR)
        if workers is not None and workers.count > 1:
            _join(workers)
        main()
    except interrupts.Interrupted as stop:
        _fail_stopped(stop)
    except flags.Error as error:
        _fail(str(error), _USAGE_EXIT)
    except (DivergedError, ContradictionError) as error:
        _fail(in_flags(str(error), own_flags), _FAILURE_EXIT)
    except WorkersError as error:
        _leaves_at_once.append(True)
        _fail(in_flags(str(error), own_flags), _FAILURE_EXIT)
    except Exception as error:
        # TensorFlow and Keras may turn an interruption into an error.
        if (number := interrupts.received()) is not None:
            _fail_stopped(interrupts.Interrupted(number))
        if isinstance(error, InputError):
            # A disk is no mistake in the command line.
            code = _FAILURE_EXIT if isinstance(error, OSError) else _USAGE_EXIT
            _fail(in_flags(str(error), own_flags), code)
        blamed = own_code.blame(error) or _of_the_system(error)
        if blamed is None:
            raise
        _fail(str(blamed), _FAILURE_EXIT)


def _of_the_system(error: Exception) -> str | None:
    """Returns a line on a user's path or a full disk; `None` for a defect."""
    number = files.system_reason(error)
    path = getattr(error, "filename", None)
    if number is None or (path is None and number not in files.FULL):
        return None
    if path is not None and _is_own(os.fsdecode(path)):
        return None
    reason = os.strerror(number)
    if path is None and (match := re.search(rf"(\S+); {reason}", str(error))):
        # In the messages of TensorFlow.
        path = match[1]
    return f"{path or 'a file'} cannot be used: {reason}"


def _is_own(path: str) -> bool:
    """Whether a path is of these programs or of Python, not of the user."""
    root = pathlib.Path(__file__).parents[2]
    own = [root / name for name in ("flags", "hydra_tf", "trainers")]
    own += map(pathlib.Path, sysconfig.get_paths().values())
    return any(pathlib.Path(path).is_relative_to(folder) for folder in own)


def _start_tensorflow() -> Workers | None:
    """Imports TensorFlow without its remarks on how it was built.

    It writes them before any log level counts. Who sets the level sees all.

    Returns:
        The workers of a strategy that has to come first; else `None`.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return _make_devices()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import tensorflow as tf

            workers = _make_devices()
            # The first operation starts the devices, with remarks of their own.
            tf.constant(0)
            return workers
        except (InputError, WorkersError):
            raise
        except Exception:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _make_devices() -> Workers | None:
    """Makes the devices of `--strategy` that TensorFlow has to begin with."""
    if "strategy" not in flags.FLAGS:
        return None
    from flags import training_flags

    if flags.FLAGS["strategy"].value == "multi_worker" and name() not in _JOIN:
        raise InputError(
            f"`strategy=multi_worker` is for {', '.join(_JOIN)}, and "
            f"{name()} runs in one process: leave it out"
        )
    return training_flags.workers_from_flags()


def _join(workers: Workers) -> None:
    """Makes this process one of several workers.

    The chief alone writes to stdout; errors are each worker's own.
    """
    from trainers.terminal import same

    _leaves_at_once.append(True)
    # TensorFlow took SIGTERM for itself.
    interrupts.install_handlers()
    workers.check_equal(same.flags_given() | same.code())
    if not workers.is_chief:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def _fail_stopped(stop: interrupts.Interrupted) -> NoReturn:
    """Says which signal stopped the binary, and exits as shells expect."""
    signal_name = "Ctrl-C" if stop.signal_number == 2 else "SIGTERM"
    where = stop.where or "run the same command to resume"
    if "overwrite" in flags.FLAGS and flags.FLAGS["overwrite"].value:
        where += ", without --overwrite, which starts anew"
    _fail(
        f"stopped by {signal_name}; {where}",
        _SIGNAL_EXIT + stop.signal_number,
        label="",
    )


def _fail(message: str, exit_code: int, label: str = "error: ") -> NoReturn:
    """Writes one line to stderr and exits."""
    try:
        sys.stdout.flush()
    except OSError:
        # Stdout is what is full; Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    running = pathlib.Path(sys.argv[0]).stem
    sys.stderr.write(f"{running}: {label}{' '.join(message.split())}\n")
    sys.stderr.flush()
    if _leaves_at_once:
        from hydra_tf.training import workers

        workers.remove_folders()
        os._exit(exit_code)
    sys.exit(exit_code)
