"""Writing the report that the flags ask for.

```
index.html         the page, which needs neither network nor other files
*.png              its figures
leaderboard.tsv    the adversarial-pruning benchmark's rows, if there are any
```
"""

from __future__ import annotations

import pathlib

import hydra_tf
from flags import report_flags
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.plots import figure as figures
from trainers.reporting import leaderboard
from trainers.reporting import networks
from trainers.reporting import page
from trainers.reporting import pictures
from trainers.reporting import runs as run_folders
from trainers.reporting import summary
from trainers.run import environment

_PAGE = "index.html"


def run() -> None:
    """Writes the report, and says where it is."""
    parsed = report_flags.report_from_flags()
    folder = _folder(parsed.runs, parsed.output_dir)
    runs, remarks = run_folders.read(parsed.runs)
    setups = networks.setups(runs)
    say(f"report: {len(runs)} run{'' if len(runs) == 1 else 's'}")
    sections = pictures.sections(
        setups,
        runs,
        images=parsed.images,
        data_dir=parsed.data_dir,
        say=say,
    )
    board = leaderboard.make(setups)
    doubts = summary.doubts(runs)
    text = page.render(
        setups=setups,
        runs=runs,
        sections=sections,
        leaderboard=board,
        doubts=doubts,
        remarks=remarks,
        folder=folder,
        command=environment.command(),
        version=hydra_tf.__version__,
    )
    with files.replacing_directory(folder) as partial:
        for section in sections:
            for picture in section.pictures:
                figures.write(partial / f"{picture.name}.png", picture.figure)
        if board.rows:
            files.write_text(partial / leaderboard.FILE, board.tsv())
        files.write_text(partial / _PAGE, text)
    for doubt in doubts:
        say(f"  {doubt}")
    for remark in (*remarks, *(each for s in sections for each in s.remarks)):
        say(f"  left out: {remark}")
    say(f"Report:       {folder / _PAGE}")
    if board.rows:
        say(f"Leaderboard:  {folder / leaderboard.FILE}")


def _folder(runs: tuple[str, ...], output_dir: str | None) -> pathlib.Path:
    """Returns the folder of the report, which holds no other things.

    Raises:
        InputError: If it does, or cannot be written.
    """
    if output_dir is None:
        folder = files.as_path(runs[0]) / run_folders.REPORT
        if not folder.parent.is_dir():
            # Said by whoever reads the runs.
            return folder
    else:
        folder = files.as_path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output_dir={folder} is a file; name a folder")
    files.check_writable(folder, "output_dir")
    if folder.is_dir():
        others = [
            path.name
            for path in folder.iterdir()
            if path.name not in (_PAGE, leaderboard.FILE)
            and path.suffix != ".png"
        ]
        if others:
            raise InputError(
                f"--output_dir={folder} holds {others[0]}, which is no part "
                "of a report; name a new or an empty folder"
            )
    return folder
