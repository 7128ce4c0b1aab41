"""Shows runs on one page: methods by density, curves, layers, images.

Example:
    python -m trainers.report --runs=runs/digits_demo

writes runs/digits_demo/report/index.html, which needs no network, and its
figures as PNG files beside it. Several runs, or a folder of them, are compared:
    python -m trainers.report --runs=runs --output_dir=runs/report
"""

from __future__ import annotations

from flags import report_flags
from trainers.terminal import startup


def main() -> None:
    """Writes the report."""
    from trainers.reporting import report

    report.run()


if __name__ == "__main__":
    startup.run(main, report_flags.FLAGS)
