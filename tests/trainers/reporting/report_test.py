"""The report: its page in a browser, its figures, what it leaves out."""

import html.parser
import json
import re
import shutil
import subprocess

import keras
import pytest

import hydra_tf as ht
from tests.trainers import binaries
from tests.trainers.reporting import folders

PNG = b"\x89PNG\r\n\x1a\n"
BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ),
    None,
)
# What a reader does, and what is then seen; the page tells it in its title.
SCRIPT = """
<script>
window.addEventListener("load", () => {
  document.querySelectorAll("details").forEach((each) => { each.open = true; });
  const column = (name) => Array.from(
    document.querySelectorAll(`#${name} tbody tr`),
    (row) => row.cells[1].textContent.trim());
  const heading = document.querySelectorAll("#methods-table-0 button")[1];
  const before = column("methods-table-0");
  heading.click();
  const falling = column("methods-table-0");
  heading.focus();
  heading.click();
  const drawn = Array.from(document.querySelectorAll("figure"), (each) => {
    const svg = each.querySelector("svg").getBoundingClientRect();
    return [each.id, svg.width, svg.height,
            each.querySelectorAll("svg path, svg use, svg image").length];
  });
  document.title = JSON.stringify({
    before, falling, rising: column("methods-table-0"),
    sorted: heading.closest("th").getAttribute("aria-sort"),
    focused: document.activeElement === heading,
    overflow: document.documentElement.scrollWidth - innerWidth,
    drawn, ink: getComputedStyle(document.querySelector("svg")).color,
  });
});
</script>
"""


def network():
    """Returns a masked network for the digits."""
    keras.utils.set_random_seed(0)
    plain = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6, activation="relu", name="first"),
            keras.layers.Dense(10, name="last"),
        ]
    )
    return ht.start_pruning(plain, method="lwm", density=0.25)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of two methods at two densities, some of two seeds; one stopped."""
    folder = tmp_path_factory.mktemp("some runs")
    for method, robust in (("hydra", 0.5), ("lwm", 0.4)):
        for density in (0.1, 0.02):
            for seed in range(1 + (density == 0.1 and method == "hydra")):
                name = f"{method}_{density}_{seed}"
                folders.write(
                    folder / name,
                    method,
                    density,
                    seed,
                    robust + density + seed / 50,
                )
    best = folder / "hydra_0.1_0"
    model = network()
    for phase in ("prune", "finetune"):
        path = best / "checkpoints" / f"{phase}.keras"
        path.parent.mkdir(exist_ok=True)
        model.save(path)
    folders.evaluation(folder / "attacked", best)
    folders.exported(folder / "exported")
    record = json.loads((best / "metrics.json").read_text())
    record["certify"] = {
        "method": "crown",
        "threat_model": "linf",
        "num_examples": 20,
        "natural_accuracy": 0.9,
        "certified_accuracy": [
            {"radius": 0.01, "certified_accuracy": 0.8},
            {"radius": 0.05, "certified_accuracy": 0.2},
        ],
    }
    (best / "metrics.json").write_text(json.dumps(record))
    stopped = folders.write(folder / "stopped <run>")
    record = {"phases": {"pretrain": folders.phase(0.9, 0.5)}}
    (stopped / "metrics.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "page"
    data_dir = tmp_path_factory.mktemp("tfds")
    assert not binaries.run(
        "report",
        f"--runs={runs}",
        f"--output_dir={folder}",
        "--images=2",
        f"--data_dir={data_dir}",
    )
    return folder


@pytest.fixture(scope="module")
def page(report):
    return (report / "index.html").read_text(encoding="utf-8")


class Tags(html.parser.HTMLParser):
    """The ids, links and sources of a page."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.others = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name == "href" and tag == "a":
                self.links.append(value)
            elif name in ("src", "srcset", "href", "xlink:href"):
                self.others.append(value)


def test_every_figure_has_its_png(report, page):
    figures = set(re.findall(r'<figure id="([^"]+)"', page))
    assert figures == {
        "methods_0",
        "compression_0",
        "security_0_fmn_linf",
        "certified_linf",
        "layers_0_10",
        "layers_0_2",
        "weights_0_10",
        *(f"training_{number}" for number in range(6)),
        "images_0",
    }
    files = {path.name for path in report.iterdir()}
    assert files == {"index.html", "leaderboard.tsv"} | {
        f"{name}.png" for name in figures
    }
    for name in figures:
        assert (report / f"{name}.png").read_bytes().startswith(PNG)


def test_page_needs_nothing_but_itself(report, page):
    tags = Tags(page)
    assert all(other.startswith(("#", "data:")) for other in tags.others)
    assert "http:" not in page and "https:" not in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#|data:)", page)
    assert len(tags.ids) == len(set(tags.ids))
    anchors = [link for link in tags.links if link.startswith("#")]
    assert {anchor[1:] for anchor in anchors} <= set(tags.ids)
    folders_linked = 0
    for link in set(tags.links) - set(anchors):
        path = report / re.sub("%20", " ", link).replace("%3C", "<").replace(
            "%3E", ">"
        )
        assert not link.startswith("/") and path.exists(), link
        folders_linked += link.endswith("/")
    assert folders_linked == 7


def test_page_says_what_is_seen_and_what_is_missing(page):
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    assert "With 10 % of the weights, hydra has 61.0 ± 1.4 %" in text
    assert "stopped &lt;run&gt;" in text and "<run>" not in text
    assert "after pretrain" in text
    assert "lwm_0.1_0: checkpoints/prune.keras is not there" in text
    assert "lwm_0.1_0: no images" in text
    assert "4 pruned networks without a figure of AutoAttack" in text


def test_page_has_a_table_of_the_files_that_were_exported(page):
    table = page.partition('id="formats-table"')[2].partition("</table>")[0]
    cells = re.findall(r"<td.*?>(?:<a.*?>)?(.*?)(?:</a>)?</td>", table)
    assert cells[:3] == ["LiteRT", "4.0 kB", "1.0 kB"]
    assert cells[3:8] == ["87.5 %", "50.0 %", "52.5 %", "99.5 %", "0.04"]
    assert cells[8:10] == ["LiteRT int8", "1.0 kB"]
    assert 'title="95 % of calls: 0.1"' in table
    assert "Square: attacked directly, 1000 queries" in page


def test_page_works_in_a_browser(report, page, tmp_path):
    if BROWSER is None:
        pytest.skip("no Chromium or Chrome is installed")
    copy = tmp_path / "page.html"
    copy.write_text(page.replace("</body>", f"{SCRIPT}</body>"))
    done = subprocess.run(
        [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=2000",
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.S)[1]
    seen = json.loads(title)
    assert sorted(seen["before"]) == sorted(seen["falling"])
    assert seen["falling"] == ["100 %", "10 %", "10 %", "2 %", "2 %"]
    assert seen["rising"] == seen["falling"][::-1]
    assert seen["sorted"] == "ascending" and seen["focused"]
    assert seen["overflow"] <= 0
    assert len(seen["drawn"]) == page.count("<figure ")
    for name, width, height, marks in seen["drawn"]:
        assert width > 200 and height > 100 and marks > 5, name
    assert seen["ink"].startswith("rgb")


def test_replaces_an_earlier_report_in_the_run_s_folder(tmp_path):
    run = folders.write(tmp_path / "run")
    (run / "report").mkdir()
    for name in ("index.html", "leaderboard.tsv", "methods_7.png"):
        (run / "report" / name).write_text("of an earlier report")
    assert not binaries.run("report", f"--runs={run}", "--images=0")
    names = {path.name for path in (run / "report").iterdir()}
    assert {"index.html", "methods_0.png"} <= names
    assert not {"leaderboard.tsv", "methods_7.png"} & names
    page = (run / "report" / "index.html").read_text()
    assert 'href="../"' in page
    assert "--eval_attacks=autoattack,fmn" in page
    assert {path.name for path in run.iterdir()} == {
        "flags.txt",
        "metrics.json",
        "report",
    }
