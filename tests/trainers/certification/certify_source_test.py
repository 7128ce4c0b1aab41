"""Certification from the command line: the table, resuming, mistakes."""

import csv
import json
import signal

import keras
import numpy as np
import PIL.Image
import pytest

from hydra_tf import bounds
from hydra_tf import data
from hydra_tf import export
from hydra_tf import smoothing
from tests.trainers import binaries
from tests.trainers import networks
from trainers.run import source


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def model(data_dir):
    return networks.trained_on_digits(data_dir)


@pytest.fixture(scope="module")
def sources(model, tmp_path_factory):
    """The network as a file and as a SavedModel, and two that don't do."""
    folder = tmp_path_factory.mktemp("sources")
    model.save(folder / "net.keras")
    export.export_saved_model(model, folder / "served")

    def variant(name, *layers):
        network = keras.Sequential([keras.layers.Input((8, 8, 1)), *layers])
        network.save(folder / name)

    variant(
        "norm.keras",
        keras.layers.Flatten(),
        keras.layers.UnitNormalization(name="odd_one"),
        keras.layers.Dense(10),
    )
    variant(
        "softmax.keras",
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax", name="probabilities"),
    )
    return folder


@pytest.fixture(scope="module")
def images(data_dir):
    test = data.load("digits", "test", batch_size=64, data_dir=data_dir)
    return test.arrays(40)


@pytest.fixture
def certify(sources, data_dir, tmp_path):
    """Runs the binary in this process and returns exit code and folder."""

    def run(*arguments, name="run", source="net.keras", count=40):
        folder = tmp_path / name
        code = binaries.run(
            "certify", *command(sources, data_dir, folder, source, count),
            *arguments,
        )  # fmt: skip
        return code, folder

    return run


def command(sources, data_dir, folder, source="net.keras", count=40):
    return (
        f"--source={sources / source}",
        "--dataset=digits",
        f"--data_dir={data_dir}",
        f"--num_examples={count}",
        f"--output_dir={folder}",
    )


def table(folder, without=()):
    """Returns the lines of `certify.tsv`, without checksums, as strings."""
    with open(folder / "certify.tsv", newline="") as file:
        assert file.readline().startswith("# {")
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        # That of the seconds and of the source, too.
        for name in ("checksum", *without):
            del row[name]
    return rows


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())["certify"]


def column(rows, name, kind=int):
    return np.array([kind(row[name]) for row in rows])


def test_table_holds_what_the_bounds_say(certify, model, images):
    method = "crown_ibp"
    code, folder = certify("--epsilons=0.01,2/255,0.1")
    assert code == 0
    x, y = images
    rows = table(folder)
    np.testing.assert_array_equal(column(rows, "index"), np.arange(40))
    np.testing.assert_array_equal(column(rows, "label"), y)
    predictions = np.argmax(model.predict(x, verbose=0), axis=1)
    np.testing.assert_array_equal(column(rows, "prediction"), predictions)
    assert np.all(column(rows, "seconds", float) > 0)
    # Some at the least radius and few at the largest.
    certified = {
        radius: np.asarray(bounds.certified(model, x, y, radius, method))
        for radius in (2 / 255, 0.01, 0.1)
    }
    for radius, expected in certified.items():
        flags = column(rows, f"certified_{radius:.6g}")
        np.testing.assert_array_equal(flags, expected)
        # Never where the prediction is wrong.
        assert not np.any(flags[predictions != y])
    assert certified[2 / 255].sum() > 10 > certified[0.1].sum()
    record = metrics(folder)
    assert record["natural_accuracy"] == np.mean(predictions == y)
    assert [each["certified_accuracy"] for each in record["certified_accuracy"]]
    assert record["certified_accuracy"][0] == {
        "radius": 2 / 255,
        "certified_accuracy": np.mean(certified[2 / 255]),
    }


def test_float64_and_the_batch_leave_the_answers(certify):
    _, one = certify("--epsilons=0.01", name="one")
    code, other = certify(
        "--epsilons=0.01", "--dtype=float64", "--batch_size=7", name="other"
    )
    assert code == 0
    assert metrics(other)["dtype"] == "float64"
    assert table(one, ["seconds"]) == table(other, ["seconds"])


def test_plot_shows_something(certify):
    _, folder = certify("--epsilons=0.005,0.01,0.02")
    with PIL.Image.open(folder / "certify.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    # The first colour of the lines, and far from a blank sheet.
    blue = np.all(np.abs(pixels - np.array([31, 119, 180])) < 10, axis=2)
    assert blue.sum() > 300
    assert 0.02 < np.mean(pixels < 250) < 0.5


def test_smoothing_certifies_a_saved_model_as_the_network(
    certify, model, images
):
    arguments = ["--method=smoothing", "--n=200", "--n0=20", "--radii=0.1,0.4"]
    _, first = certify(*arguments, name="keras")
    code, second = certify(*arguments, name="saved", source="served")
    assert code == 0
    assert table(first, ["seconds"]) == table(second, ["seconds"])
    x, y = images
    expected = smoothing.certify(model, x, 0.25, n0=20, n=200, alpha=0.001)
    rows = table(second)
    np.testing.assert_array_equal(
        column(rows, "prediction"), expected.predictions
    )
    np.testing.assert_array_equal(column(rows, "radius", float), expected.radii)
    for radius in (0.1, 0.4):
        flags = column(rows, f"certified_{radius:g}")
        right = (expected.predictions == y) & (expected.radii >= radius)
        np.testing.assert_array_equal(flags, right)
    record = metrics(second)
    assert record["threat_model"] == "l2"
    assert record["smoothed_accuracy"] == np.mean(expected.predictions == y)
    assert record["abstained"] == np.mean(expected.predictions == -1)


def count_lines(folder):
    path = folder / "certify.tsv"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_stopped_and_killed_it_resumes_and_ends_alike(
    certify, sources, data_dir, tmp_path, capfd
):
    arguments = ["--method=smoothing", "--n=8000"]
    _, whole = certify(*arguments, name="whole")
    folder = tmp_path / "stopped"
    started = (*command(sources, data_dir, folder), *arguments)
    stopped = binaries.start("certify", *started)
    binaries.wait_until(lambda: count_lines(folder) >= 4, stopped)
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "of 40 images are done; run the same command to resume" in err
    assert err.count("\n") == 1

    done = count_lines(folder)
    assert done < 42
    killed = binaries.start("certify", *started)
    binaries.wait_until(lambda: count_lines(folder) > done, killed)
    killed.kill()
    killed.communicate(timeout=60)
    assert count_lines(folder) < 42
    # As if the machine had stopped within a line.
    with open(folder / "certify.tsv", "a") as file:
        file.write("39\t1")
    capfd.readouterr()
    code, _ = certify(*arguments, name="stopped")
    assert code == 0
    assert "resuming after image" in capfd.readouterr().out
    assert table(folder, ["seconds"]) == table(whole, ["seconds"])
    assert metrics(folder)["num_examples"] == 40


def test_more_images_resume_it_and_other_settings_are_refused(certify, capfd):
    certify("--epsilons=0.01", count=10)
    capfd.readouterr()
    first = table(certify("--epsilons=0.01", count=10)[1])
    assert "10 images are done already" in capfd.readouterr().out
    code, folder = certify("--epsilons=0.01", count=25)
    assert code == 0
    assert table(folder)[:10] == first
    assert len(table(folder)) == metrics(folder)["num_examples"] == 25
    capfd.readouterr()
    code, _ = certify("--epsilons=0.02", count=25)
    err = capfd.readouterr().err
    assert code == 2
    assert "epsilons [0.01] instead of [0.02]" in err
    assert "--overwrite" in err
    assert err.count("\n") == 1
    code, folder = certify("--epsilons=0.02", "--overwrite", count=5)
    assert code == 0
    assert len(table(folder)) == 5


def run_folder(folder, sources, robust_accuracy):
    """Makes the folder of a run whose network was attacked."""
    path = folder / "checkpoints" / "finetune.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes((sources / "net.keras").read_bytes())
    entry = {
        "checkpoint": source.fingerprint(path),
        "num_examples": 40,
        "robust_accuracy": {"pgd": robust_accuracy},
        "attacks": {"pgd": {"epsilon": 0.01, "threat_model": "linf"}},
    }
    record = {"phases": {"finetune": entry}, "run": {"name": "x"}}
    (folder / "metrics.json").write_text(json.dumps(record))


def test_run_s_attacks_are_compared_and_its_record_stays(
    certify, sources, tmp_path, capfd
):
    run_folder(tmp_path / "trained", sources, 0.85)
    code, folder = certify(
        f"--source={tmp_path / 'trained'}", "--epsilons=0.01", name="trained"
    )
    assert code == 0
    assert "pgd, Linf 0.01 " in capfd.readouterr().out
    whole = json.loads((folder / "metrics.json").read_text())
    assert whole["run"] == {"name": "x"}
    assert whole["certify"]["robust_accuracy"][0]["robust_accuracy"] == 0.85
    assert not (folder / "flags.txt").exists()
    # On fewer images than were attacked the figures are not comparable.
    certify(
        f"--source={tmp_path / 'trained'}",
        "--epsilons=0.01",
        name="trained",
        count=10,
    )
    assert "pgd on 40 images, Linf 0.01 " in capfd.readouterr().out


def test_smoothing_says_what_it_cannot_certify(certify, capfd):
    # sigma Phi^-1(alpha^(1/n)) = 0.25 Phi^-1(0.9330) for n = 100.
    arguments = ("--method=smoothing", "--n=100", "--n0=10")
    certify(*arguments, "--radii=0.1,0.4", name="all", count=5)
    line = "With --n=100 noisy copies no radius above 0.375 can be certified."
    assert line in capfd.readouterr().out
    certify(*arguments, "--radii=0.1,0.3", name="within", count=5)
    assert "can be certified" not in capfd.readouterr().out


def test_more_proved_than_an_attack_left_is_a_defect(
    certify, sources, tmp_path, capfd
):
    run_folder(tmp_path / "trained", sources, 0.05)
    code, _ = certify(f"--source={tmp_path / 'trained'}", "--epsilons=0.01")
    assert code == 1
    err = capfd.readouterr().err
    assert "but pgd left only 5.0 % within 0.01: the bounds are wrong" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "source, arguments, words",
    [
        ("norm.keras", [], ["odd_one", "UnitNormalization"]),
        ("softmax.keras", [], ["ends in a softmax", "probabilities"]),
        ("served", [], ["is a SavedModel", "certify by smoothing"]),
        ("none.keras", [], ["does not exist"]),
        ("net.keras", ["--dataset=mnistt"], ["'mnist'"]),
        ("net.keras", ["--dataset=cifar10"], ["(8, 8, 1)", "(32, 32, 3)"]),
        ("net.keras", ["--alpha=0"], ["--alpha=0"]),
    ],
)
def test_mistake_is_one_line(source, arguments, words, certify, capfd):
    code, _ = certify(*arguments, source=source)
    err = capfd.readouterr().err
    assert code == 2, err
    assert err.startswith("certify: error: ")
    assert all(word in err for word in words), err
    assert err.count("\n") == 1
