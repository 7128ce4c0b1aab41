"""The table with a row for every image and network."""

from trainers.evaluation import examples
from trainers.evaluation.measuring import Measured


def test_columns_of_all_networks_are_there_and_cells_may_be_empty(tmp_path):
    first = Measured({}, ["index", "robust.pgd"], [["0", "1"], ["1", "0"]])
    second = Measured({}, ["index", "certified.ibp"], [["0", "1"]])
    examples.write(tmp_path / "t.tsv", {"a\tb": first, "c": second})
    assert (tmp_path / "t.tsv").read_text().splitlines() == [
        "network\tindex\trobust.pgd\tcertified.ibp",
        "a b\t0\t1\t",
        "a b\t1\t0\t",
        "c\t0\t\t1",
    ]
