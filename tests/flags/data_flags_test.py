"""Flags of the data set."""

import json

from absl import flags

from hydra_tf import data
from hydra_tf.registry.datasets import DATASETS
from tests.data import drawn
from tests.data import own_functions
from tests.flags import command_line


def test_every_data_set_is_named_in_the_help():
    text = flags.FLAGS["dataset"].help
    assert all(name in text for name in data.names())


def test_record_tells_pictures_from_others(tmp_path):
    drawn.folder(tmp_path, each=4)

    def record(**values):
        values = {"dataset": f"folder:{tmp_path}", "image_size": 8} | values
        arguments = [f"--{name}={value}" for name, value in values.items()]
        return json.dumps(command_line.parse(*arguments).data.record())

    records = [
        record(),
        record(image_size="8x8"),
        record(image_size="8x9"),
        record(image_channels=1),
        record(test_fraction=0.3),
        record(batch_size=2),
    ]
    (tmp_path / "bar" / "0.png").rename(tmp_path / "bar" / "10.png")
    records.append(record())
    assert records[0] == records[1]
    assert len(set(records)) == 6


def test_record_of_a_known_data_set_has_what_it_always_had():
    record = command_line.parse("--dataset=digits").data.record()
    of_training = {"fraction", "batch_size", "augment", "cutmix"}
    assert set(record) == {"dataset", "extra_fraction"} | of_training


def test_registered_name_is_taken(monkeypatch):
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    data.register("shapes")(own_functions.both)
    settings = command_line.parse("--dataset=shapes", "--batch_size=8").data
    assert settings.info.image_shape == (6, 5, 2)
    assert settings.train(seed=0, drop_remainder=False).num_examples == 24
