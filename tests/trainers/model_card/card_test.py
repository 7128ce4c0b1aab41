"""The page that explains a run's folder."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

from hydra_tf.export import export_saved_model
from trainers.model_card import card as cards
from trainers.model_card.card import model_card

METRICS = {
    "run": {
        "name": "digits demo",
        "model": "digits_model",
        "dataset": "digits",
        "objective": "madry",
        "method": "hydra",
        "allocation": "uniform",
        "density": 0.05,
        "seed": 7,
    },
    "dataset": {
        "name": "digits",
        "num_train": 1437,
        "num_test": 360,
        "image_shape": [8, 8, 1],
        "num_classes": 10,
        "fraction": 0.5,
    },
    "phases": {
        "pretrain": {
            "natural_accuracy": 0.992,
            "robust_accuracy": {"pgd": 0.786},
            "num_examples": 360,
            "epochs": 40,
            "seconds": 20.4,
            "loss": 0.4,
        },
        "prune": {"natural_accuracy": 0.925, "robust_accuracy": None},
        "finetune": {
            "natural_accuracy": 0.983,
            "robust_accuracy": {"pgd": 0.772, "cw|l2": 0.751},
            "num_examples": 360,
            "epochs": 40,
            "seconds": 7300.0,
        },
    },
    "attacks": {
        "pgd": {
            "threat_model": "linf",
            "epsilon": 8 / 255,
            "step_size": 0.01,
            "num_steps": 50,
            "num_restarts": 10,
            "seed": 3,
        }
    },
    "sparsity": {
        "density": 0.05,
        "weights": 100000,
        "kept": 5000,
        "flops": 2000000,
        "effective_flops": 100000,
        "layers": [
            {
                "name": "conv2d",
                "type": "Conv2D",
                "weights": 100000,
                "kept": 5000,
                "density": 0.05,
                "flops": 2000000,
                "effective_flops": 100000,
            }
        ],
    },
    "artifacts": {
        "saved_model": {
            "path": "saved_model",
            "bytes": 400123,
            "compressed_bytes": 45600,
        },
        "checkpoints": {"finetune": "checkpoints/finetune.keras"},
    },
    "environment": {"tensorflow": "2.21.0", "devices": ["CPU:0", "CPU:1"]},
}


def block(card, language, containing):
    """Returns the only code block of a language with these words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", card, flags=re.DOTALL)
    (found,) = [each for each in blocks if containing in each]
    return found


@pytest.mark.parametrize("names", [["prune"], ["pretrain", "prune"]])
def test_pipeline_without_finetuning_ends_with_pruning(names):
    phases = {name: METRICS["phases"][name] for name in names}
    run = {**METRICS["run"], "binary": "pipeline"}
    card = model_card({**METRICS, "run": run, "phases": phases})
    assert "| prune (the result) | 92.5 % |" in card
    assert "not followed by fine-tuning" in card
    assert "Three phases" not in card


def test_objective_of_pretraining_is_told():
    run = {**METRICS["run"], "pretrain_objective": "natural"}
    card = model_card({**METRICS, "run": run})
    assert "pretrained under an objective of its own" in card
    assert "| pretrain objective | `natural`: " in card


def test_states_what_was_measured_and_how():
    card = model_card(METRICS)
    for words in (
        "# digits demo\n",
        "pruned to 5.0 % of its weights",
        "98.3 % of the test images right, and 77.2 % under attack by pgd",
        "| finetune (the result) | 98.3 % | 77.2 % | 75.1 % | 360 | 40 | 2:01",
        "| prune (before fine-tuning) | 92.5 % | - | - | - | - | - |",
        "- **pgd**: PGD on the cross-entropy, L-infinity, epsilon 8/255 "
        "(0.03137), step size 0.01, steps 50, restarts 10, seed 3",
        "| `conv2d` | Conv2D | 100,000 | 5,000 | 5.0 % | 2,000,000 | 100,000",
        "| `saved_model` | TensorFlow SavedModel | 400.1 kB; 45.6 kB compres",
        "| `checkpoints/finetune.keras` | after finetune |",
        "1,437 training images, 360 test images, 10 classes, shape 8 x 8 x 1",
        "50.0 % of the training images used",
        "not proved",
        "at most 8/255 (0.03137) in L-infinity norm",
        "| tensorflow | 2.21.0 |",
        "| devices | CPU:0, CPU:1 |",
        "From a checkout of hydra_tf",
        "python -m trainers.pipeline --flagfile=RUN/flags.txt",
    ):
        assert words in card, words


def test_begins_with_a_head_of_yaml():
    lines = model_card(METRICS).splitlines()
    assert lines[0] == "---"
    # Each value is JSON, which YAML contains.
    head = {
        key: json.loads(value)
        for key, _, value in (
            line.partition(": ") for line in lines[1 : lines.index("---", 1)]
        )
    }
    assert head["library_name"] == "keras"
    assert head["datasets"] == ["digits"]
    ((entry,),) = [each["results"] for each in head["model-index"]]
    assert entry["task"] == {"type": "image-classification"}
    assert {each["name"]: each["value"] for each in entry["metrics"]} == {
        "Natural accuracy": 0.983,
        "Robust accuracy (pgd)": 0.772,
        "Robust accuracy (cw|l2)": 0.751,
    }


def test_states_what_is_no_better_than_chance():
    metrics = copy.deepcopy(METRICS)
    result = metrics["phases"]["finetune"]
    result |= {"chance_level": 0.1, "not_above_chance": ["pgd"]}
    card = model_card(metrics)
    assert "**Some of that is no better than chance" in card
    assert "| finetune (the result) | 98.3 % | 77.2 % (chance) |" in card
    assert "not significantly above 10.0 %" in card
    assert "chance" not in model_card(METRICS)


def test_shows_the_table_of_methods():
    entry = {
        "natural_accuracy": 0.98,
        "robust_accuracy": {"pgd": 0.77},
        "saved_model": {"bytes": 400123, "compressed_bytes": 45600},
    }
    metrics = {
        **METRICS,
        "comparison": {
            "before pruning": entry,
            "hydra": {"density": 0.05, **entry},
            "lwm": {"density": 0.05, "natural_accuracy": 0.5},
        },
    }
    card = model_card(metrics)
    assert "## Methods compared" in card
    assert (
        "| network | natural | robust (pgd) | SavedModel | compressed |" in card
    )
    assert (
        "| hydra, density 0.05 | 98.0 % | 77.0 % | 400.1 kB | 45.6 kB |" in card
    )
    assert "| lwm, density 0.05 | 50.0 % | - | - | - |" in card
    assert "Methods compared" not in model_card(METRICS)


def test_each_phase_has_its_learning_rate():
    metrics = copy.deepcopy(METRICS)
    metrics["run"]["learning_rate"] = 0.01
    metrics["phases"]["pretrain"]["learning_rate"] = 0.1
    metrics["phases"]["prune"] |= {"learning_rate": 0.05, "epochs": 0}
    metrics["phases"]["finetune"]["learning_rate"] = 0.01
    assert (
        "| learning rate | `0.1` (pretrain), `0.01` (finetune) |"
        in model_card(metrics)
    )
    assert "| learning rate | `0.3` |" in model_card(
        {"run": {"learning_rate": 0.3}}
    )


def test_commands_are_those_of_an_installation_where_it_is_one(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/bin/hydra-tf-export"])
    metrics = {**METRICS, "run": {"binary": "pipeline"}}
    card = model_card(metrics)
    assert "With hydra_tf installed" in card
    assert "\nhydra-tf-pipeline --flagfile=RUN/flags.txt" in card
    assert "python -m" not in card


def test_states_the_uncertainty_of_a_finite_test_set():
    # 1.96 sqrt(0.751 * 0.249 / 360) = 0.0447, the widest of the three.
    assert "on 360 images" in model_card(METRICS)
    assert "about 4.5 points" in model_card(METRICS)


def test_tables_are_well_formed():
    card = model_card(METRICS)
    for table in re.findall(r"(?:^\|.*\|\n)+", card, flags=re.MULTILINE):
        widths = {
            len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()
        }
        assert len(widths) == 1, table
    assert r"robust accuracy, cw\|l2" in card


@pytest.mark.parametrize("missing", [*METRICS, "all"])
@pytest.mark.parametrize("how", ["absent", "none", "empty"])
def test_missing_sections_are_left_out(missing, how):
    metrics = copy.deepcopy(METRICS)
    for key in METRICS if missing == "all" else [missing]:
        if how == "absent":
            del metrics[key]
        else:
            metrics[key] = None if how == "none" else {}
    card = model_card(metrics)
    assert card.startswith("---\n") and "\n---\n\n# " in card
    assert "None" not in card and "nan" not in card
    assert "\n\n\n" not in card


def leaves(value, path=()):
    for key, item in value.items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from leaves(item, (*path, key))


@pytest.mark.parametrize("path", list(leaves(METRICS)), ids=".".join)
def test_any_entry_may_be_missing_or_none(path):
    for remove in (True, False):
        metrics = copy.deepcopy(METRICS)
        inner = metrics
        for key in path[:-1]:
            inner = inner[key]
        if remove:
            del inner[path[-1]]
        else:
            inner[path[-1]] = None
        assert "None" not in model_card(metrics)


def test_metrics_stay_as_they_are():
    metrics = copy.deepcopy(METRICS)
    model_card(metrics)
    assert metrics == METRICS


def test_an_attack_that_was_not_recorded_is_not_invented():
    card = model_card({**METRICS, "attacks": {}})
    assert "not measured with a recorded attack" in card
    assert "norm" not in card.split("## Limits")[1].split("## Versions")[0]


def test_attacks_of_one_reach_have_one_limit():
    pgd = METRICS["attacks"]["pgd"]
    attacks = {
        "pgd": pgd,
        "autoattack": pgd,
        "fmn": {**pgd, "threat_model": "l2"},
    }
    card = model_card({**METRICS, "attacks": attacks})
    assert "Under pgd and autoattack an image changes by at most" in card
    assert "Under fmn an image changes by at most 8/255 (0.03137) in L2" in card


def test_small_densities_do_not_read_as_zero():
    card = model_card({"run": {"model": "m"}, "sparsity": {"density": 0.001}})
    assert "pruned to 0.100 % of its weights" in card


def test_paths_inside_the_folder_are_relative(tmp_path):
    metrics = copy.deepcopy(METRICS)
    saved = metrics["artifacts"]["saved_model"]
    saved["path"] = str(tmp_path / "run" / "saved_model")
    metrics["artifacts"]["checkpoints"]["finetune"] = "/elsewhere/x.keras"
    path = cards.write(tmp_path / "run", metrics)
    assert path == tmp_path / "run" / "README.md"
    card = path.read_text()
    assert str(tmp_path) not in card
    assert "| `saved_model` |" in card
    assert "| `/elsewhere/x.keras` |" in card


def test_the_python_snippet_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model.layers[-1].bias.assign(tf.one_hot(4, 10))
    export_saved_model(model, tmp_path / "saved_model")
    monkeypatch.chdir(tmp_path)
    exec(block(model_card(METRICS), "python", "tf.saved_model"), {})
    assert capsys.readouterr().out.startswith("[4] ")


def test_the_rest_snippet_sends_the_image(tmp_path):
    image = os.urandom(2000)
    (tmp_path / "image.png").write_bytes(image)
    # A curl that writes down what it was told.
    (tmp_path / "curl").write_text('#!/bin/sh\nprintf %s "$1|$3" > sent\n')
    (tmp_path / "curl").chmod(0o755)
    subprocess.run(
        ["sh", "-c", block(model_card(METRICS), "sh", "curl")],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
    )
    url, _, body = (tmp_path / "sent").read_text().partition("|")
    assert url == "http://localhost:8501/v1/models/digits-demo:predict"
    request = json.loads(body)
    assert request["signature_name"] == "serving_bytes"
    ((key, value),) = request["instances"][0].items()
    assert key == "image_bytes"
    assert base64.b64decode(value["b64"]) == image


def test_what_is_proved_stands_beside_what_was_attacked():
    metrics = copy.deepcopy(METRICS)
    metrics["phases"]["finetune"]["certified_accuracy"] = {
        "crown_ibp": 0.701,
        "smoothing@0.25": 0.55,
    }
    metrics["certification"] = {
        "crown_ibp": {
            "epsilon": 2 / 255,
            "threat_model": "linf",
            "dtype": "float32",
        },
        "smoothing@0.25": {
            "radius": 0.25,
            "threat_model": "l2",
            "sigma": 0.25,
            "num_samples": 500,
        },
    }
    card = model_card(metrics)
    for words in (
        "proved right are 70.1 % by crown_ibp, 55.0 % by smoothing@0.25",
        "| finetune (the result) | 98.3 % | 77.2 % | 75.1 % | 70.1 % | 55.0 %",
        "- **crown_ibp**: one pass of CROWN over interval bounds, L-infinity, "
        "epsilon 2/255 (0.007843), dtype float32",
        "- **smoothing@0.25**: randomised smoothing of the network, L2, radius "
        "0.25, sigma 0.25, samples 500",
        "an upper bound of the true robustness, certified accuracy a lower",
        "uncertain where a margin is within about 1e-5 of 0",
        "wrong about an image with the small probability alpha",
    ):
        assert words in card, words
    assert "not proved" not in card


def test_channels_and_plot_are_shown_where_there_are_any():
    layer = {"type": "Conv2D", "weights": 80, "kept": 20, "density": 0.25}
    metrics = {
        **METRICS,
        "sparsity": {
            "weights": 160,
            "kept": 100,
            "density": 0.625,
            "layers": [
                {**layer, "name": "inner", "units": 8, "units_kept": 2},
                {**layer, "name": "first", "units": None, "units_kept": None},
            ],
        },
        "artifacts": {
            name: {"path": f"{name}.png", "bytes": 100}
            for name in ("densities", "learning_curves")
        },
    }
    card = model_card(metrics)
    assert "plot of accuracies in training and validation" in card
    assert "channels kept" in card and "| 2 of 8 |" in card
    assert "`densities.png`" in card and "`learning_curves.png`" in card
    plain = model_card(METRICS)
    assert "channels" not in plain and ".png`" not in plain


def test_held_out_images_are_counted_and_empty_settings_left_out():
    data = {"name": "own", "num_train": 76, "num_validation": 20}
    run = {"model": "cifar_model", "exclude": []}
    card = model_card({"run": run, "dataset": data})
    assert "76 training images, 20 validation images." in card
    assert "exclude" not in card and "CutMix" not in card
    data["cutmix"] = 0.5
    assert ", CutMix with probability 0.5." in model_card({"dataset": data})
    data["num_validation"] = 0
    assert "validation" not in model_card({"dataset": data})


def test_learned_densities_are_told_of():
    learned = {
        "target": 0.01,
        "resource": "weights",
        "gamma_frozen_at_epoch": 7,
        "best_epoch": 18,
    }
    metrics = {**METRICS, "sparsity": {"density": 0.0099, "learned": learned}}
    card = " ".join(model_card(metrics).split())
    assert "with a target of 1.0 %, first met in epoch 7;" in card
    assert "the densities are those of epoch 18." in card
    learned.update(gamma_frozen_at_epoch=None, best_epoch=None)
    card = " ".join(model_card(metrics).split())
    assert "with a target of 1.0 %." in card
    metrics["sparsity"] |= {"granularity": "channel"}
    learned["resource"] = "flops"
    card = " ".join(model_card(metrics).split())
    assert "of 1.0 % of the channels, or as many FLOPs as that in" in card


@pytest.mark.parametrize(
    "choice, words",
    [
        ({"granularity": "weight"}, "0.1 (sparsity 90.0 %)"),
        ({"granularity": "channel"}, "0.1 of the channels (90.0 % removed)"),
        ({"allocation": "mine.json"}, "of each layer, as the file of the"),
    ],
)
def test_density_says_what_it_is_a_fraction_of(choice, words):
    run = {**METRICS.get("run", {}), "density": 0.1, **choice}
    assert f"| density | {words}" in model_card({**METRICS, "run": run})


def test_channels_that_were_cut_out_have_a_section_of_their_own():
    shrink = {
        "before": {"weights": 2230, "flops": 8208, "seconds": 0.004},
        "after": {"weights": 1120, "flops": None, "seconds": 0.0015},
        "batch_size": 4,
        "largest_difference": 2.4e-7,
    }
    artifacts = {"shrunk": {"path": "shrunk.keras", "bytes": 20_000}}
    metrics = {**METRICS, "shrink": shrink, "artifacts": artifacts}
    card = model_card(metrics)
    assert "## Channels cut out" in card
    assert "differ by at most 2.4e-07" in card
    assert "| weights, all | 2,230 | 1,120 |" in card
    assert "| FLOPs per image | 8,208 | " in card
    assert "| time for 4 images | 4.00 ms | 1.50 ms |" in card
    assert "| `shrunk.keras` | the same network for Keras | 20.0 kB |" in card
    assert "exactly 0.0" not in card
    without = model_card({**METRICS, "shrink": None})
    assert "## Channels cut out" not in without
    assert "exactly 0.0" in without


def test_intervals_balanced_accuracy_and_warnings_are_in_the_results():
    metrics = copy.deepcopy(METRICS)
    metrics["phases"]["finetune"] |= {
        "intervals": {"natural_accuracy": [0.964, 0.992], "pgd": [0.72, 0.81]},
        "balanced_accuracy": {"natural_accuracy": 0.983, "pgd": 0.701},
        "warnings": {"pgd": ["gradients are zero on 9 images"]},
    }
    card = model_card(metrics)
    assert "| 95 % interval | 96.4 to 99.2 % | 72.0 to 81.0 % | - |" in card
    assert "| balanced | 98.3 % | 70.1 % | - |" in card
    assert "Intervals are Wilson's" in card
    assert "**Warning: finetune, pgd: gradients are zero on 9 images**" in card
    assert "Wilson" not in model_card(METRICS)
