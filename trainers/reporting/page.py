"""The page: everything filled into the template, figures as SVG."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from trainers.plots import style
from trainers.reporting import summary
from trainers.reporting import tables
from trainers.reporting.leaderboard import Leaderboard
from trainers.reporting.networks import Setup
from trainers.reporting.runs import Run
from trainers.reporting.section import Section

_TEMPLATES = pathlib.Path(__file__).parent / "templates"


def render(
    *,
    setups: Sequence[Setup],
    runs: Sequence[Run],
    sections: Sequence[Section],
    leaderboard: Leaderboard,
    doubts: Sequence[str],
    remarks: Sequence[str],
    folder: pathlib.Path,
    command: str,
    version: str,
) -> str:
    """Returns the page, which needs no other file.

    Args:
        setups: What can be compared.
        runs: All runs.
        sections: The figures.
        leaderboard: The benchmark's rows.
        doubts: What speaks against believing figures.
        remarks: On what is not shown.
        folder: Where the page will be, which links are relative to.
        command: What it was made with.
        version: Version of hydra_tf.
    """
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def drawing(picture: Any) -> markupsafe.Markup:
        # Written by matplotlib, which escapes what it draws.
        return markupsafe.Markup(style.svg(picture.figure, picture.name))

    def inlined(name: str) -> markupsafe.Markup:
        source = (_TEMPLATES / name).read_text(encoding="utf-8")
        return markupsafe.Markup(source)

    environment.filters["unbroken"] = _unbroken
    return environment.get_template("report.html").render(
        title=_title(setups, runs),
        headlines=summary.headlines(setups, runs),
        setups=[
            {
                "name": setup.name,
                "sentences": summary.sentences(setup),
                "images": summary.dataset_line(setup),
                "table": tables.methods(setup).without_empty_columns(),
            }
            for setup in setups
        ],
        sections=sections,
        formats=tables.formats(runs, folder),
        runs=tables.runs(runs, folder),
        leaderboard=leaderboard,
        doubts=doubts,
        remarks=remarks,
        command=command,
        version=version,
        drawing=drawing,
        inlined=inlined,
        palette=list(zip(style.SERIES, style.DARK, strict=True)),
    )


def _unbroken(text: str) -> str:
    """Returns text with numbers and their units on one line."""
    space = "\N{NO-BREAK SPACE}"
    return text.replace(" %", f"{space}%").replace(" ± ", f"{space}±{space}")


def _title(setups: Sequence[Setup], runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return runs[0].name
    names = list(dict.fromkeys(each.name.split(",")[0] for each in setups))
    return f"{len(runs)} runs" + (f" on {', '.join(names)}" if names else "")
