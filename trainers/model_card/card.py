"""The page that explains a run's folder to whoever finds it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from hydra_tf import files
from hydra_tf import text
from hydra_tf.registry.datasets import FOLDER
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import units_of
from trainers.model_card import formats_section
from trainers.model_card import front_matter
from trainers.model_card import meanings
from trainers.model_card import results_section
from trainers.model_card import shrink_section
from trainers.model_card import sparsity_section
from trainers.model_card.entries import as_mapping
from trainers.model_card.entries import ends_with_prune
from trainers.model_card.entries import result as result_of
from trainers.model_card.entries import section
from trainers.model_card.entries import without_none
from trainers.terminal import startup

# Names of classes that are listed.
_MOST_NAMES = 50
# By their names in `artifacts`.
_PLOTS = {
    "densities": "what each layer keeps",
    "learning_curves": "accuracies in training and validation",
}
_THREE_PHASES = (
    "Three phases under one training objective: the dense network is "
    "pretrained, the weights to keep are chosen, and those are fine-tuned."
)
_WHILE_TRAINING = (
    "The weights to keep are chosen in training, which is not followed by "
    "fine-tuning."
)
_PRETRAINED = (
    "Three phases: the dense network is pretrained under an objective of its "
    "own, the weights to keep are chosen, and those are fine-tuned."
)


def write(path: str | os.PathLike, metrics: Mapping[str, Any]) -> pathlib.Path:
    """Writes the `README.md` of a run's folder.

    Args:
        path: The run's folder.
        metrics: What `metrics.json` holds, see `model_card`.

    Returns:
        The path of the file.
    """
    folder = files.located(path)
    return files.write_text(folder / "README.md", model_card(metrics, folder))


def model_card(
    metrics: Mapping[str, Any], folder: str | os.PathLike | None = None
) -> str:
    """Returns the description of a run as Markdown.

    Args:
        metrics: Mapping with the sections `run`, `dataset`, `phases`,
            `attacks`, `sparsity`, `shrink`, `artifacts`, `environment` and
            `comparison`; sections and entries that are missing or `None` are
            left out.
        folder: The run's folder; paths inside it are shown relative to it.

    Example:
    >>> card = model_card({"run": {"name": "digits", "model": "digits_model"}})
    >>> card.splitlines()[5:7]
    ['---', '']
    >>> card.splitlines()[7]
    '# digits'
    """
    metrics = without_none(metrics)
    run = section(metrics, "run")
    title = run.get("name") or run.get("model") or "A pruned network"
    sections = [
        front_matter.write(metrics),
        f"# {title}",
        _summary(metrics),
        results_section.write(metrics),
        results_section.write_comparison(metrics),
        _making(metrics),
        sparsity_section.write(
            section(metrics, "sparsity"),
            shrunk=bool(section(metrics, "shrink")),
        ),
        shrink_section.write(section(metrics, "shrink")),
        _artifacts(metrics, folder),
        formats_section.write(section(metrics, "formats")),
        _usage(metrics),
        _limits(metrics),
        _versions(metrics),
        _reproduction(metrics),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(metrics: Mapping[str, Any]) -> str:
    run, data = section(metrics, "run"), section(metrics, "dataset")
    sparsity = section(metrics, "sparsity")
    model = f"`{run['model']}`" if run.get("model") else "an image classifier"
    dataset = data.get("name") or run.get("dataset")
    prose = f"This folder holds {model}"
    prose += f" trained on `{dataset}`" if dataset else ""
    density = sparsity.get("density", run.get("density"))
    if density is not None and density < 1:
        prose += f" and pruned to {text.percent(density)} of its weights"
    prose += ", with what was measured on the way."
    result = result_of(metrics)
    natural = result.get("natural_accuracy")
    if natural is not None:
        prose += (
            f" It classifies {text.percent(natural)} of the test images right"
        )
        robust = section(result, "robust_accuracy")
        if robust:
            prose += ", and " + ", ".join(
                f"{text.percent(value)} under attack by {name}"
                for name, value in robust.items()
            )
        certified = section(result, "certified_accuracy")
        if certified:
            prose += "; proved right are " + ", ".join(
                f"{text.percent(value)} by {name}"
                for name, value in certified.items()
            )
        prose += "."
    if result.get("not_above_chance"):
        prose += (
            " **Some of that is no better than chance, as the table of results "
            "says.**"
        )
    return prose + " All figures are in `metrics.json`."


def _density(value: float, run: Mapping[str, Any]) -> str:
    """Says what the density that was asked for is a fraction of."""
    if str(run.get("allocation")).endswith(".json"):
        return "of each layer, as the file of the allocation says"
    granularity = run.get("granularity")
    if granularity in STRUCTURED:
        units = units_of(granularity)
        return f"{value} of the {units} ({text.percent(1 - value)} removed)"
    return f"{value} (sparsity {text.percent(1 - value)})"


def _learning_rates(metrics: Mapping[str, Any]) -> str:
    """Returns the peak learning rate of each phase that was trained."""
    return ", ".join(
        f"`{phase['learning_rate']}` ({name})"
        for name, phase in section(metrics, "phases").items()
        if as_mapping(phase).get("epochs") and "learning_rate" in phase
    )


def _phases(metrics: Mapping[str, Any]) -> str:
    if ends_with_prune(metrics):
        return _WHILE_TRAINING
    if section(metrics, "run").get("pretrain_objective"):
        return _PRETRAINED
    return _THREE_PHASES


def _making(metrics: Mapping[str, Any]) -> str:
    run, data = section(metrics, "run"), section(metrics, "dataset")
    rows = []
    for key, value in run.items():
        if key == "name" or value in ("", [], {}):
            continue
        if key == "density":
            prose = _density(value, run)
        elif key == "learning_rate":
            prose = _learning_rates(metrics) or f"`{value}`"
        elif key in ("epsilon", "step_size"):
            prose = text.radius(value)
        else:
            meaning = meanings.of_setting(key, str(value).lower())
            prose = f"`{value}`" + (f": {meaning}" if meaning else "")
        rows.append([key.replace("_", " "), prose])
    if not rows and not data:
        return ""
    parts = ["## How it was made"]
    if rows:
        parts.append(_phases(metrics))
        parts.append(text.markdown_table(["setting", "value"], rows))
    if data:
        words = [f"`{data.get('name', 'unnamed')}`"]
        for key, unit in (
            ("num_train", "training images"),
            ("num_validation", "validation images"),
            ("num_test", "test images"),
            ("num_extra", "pseudo-labelled images"),
            ("num_classes", "classes"),
        ):
            if data.get(key):
                words.append(f"{data[key]:,} {unit}")
        if data.get("image_shape"):
            shape = " x ".join(str(each) for each in data["image_shape"])
            words.append(f"shape {shape}")
        if data.get("cutmix"):
            words.append(f"CutMix with probability {data['cutmix']:g}")
        if data.get("extra_fraction"):
            words.append(
                f"{text.percent(data['extra_fraction'])} of every batch of "
                "those with pseudo-labels"
            )
        fraction = data.get("fraction")
        if fraction is not None and fraction < 1:
            words.append(
                f"{text.percent(fraction)} of the training images used"
            )
        parts.append(f"Data: {', '.join(words)}.")
        names = data.get("class_names") or []
        if any(str(number) != name for number, name in enumerate(names)):
            listed = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
            more = "" if len(names) <= _MOST_NAMES else ", and so on"
            parts.append(
                f"Classes, in the order of the logits: {listed}{more}."
            )
        if str(data.get("name")).startswith(FOLDER):
            parts.append(
                "Each picture was brought to that shape: the largest part in "
                "its middle of those proportions, resized linearly with "
                "antialiasing, opacity dropped."
            )
    return "\n\n".join(parts)


def _artifacts(
    metrics: Mapping[str, Any], folder: str | os.PathLike | None
) -> str:
    artifacts = section(metrics, "artifacts")
    rows = [
        ["`metrics.json`", "everything measured", ""],
        ["`flags.txt`", "the flags of this run", ""],
    ]
    saved = section(artifacts, "saved_model")
    if saved:
        size = text.size(saved.get("bytes"))
        compressed = saved.get("compressed_bytes")
        if compressed is not None:
            size += f"; {text.size(compressed)} compressed"
        path = _relative(saved.get("path", "saved_model"), folder)
        rows.append([f"`{path}`", "TensorFlow SavedModel", size])
    serving = section(artifacts, "serving")
    if serving:
        path = _relative(serving.get("path", "serving"), folder)
        size = text.size(serving.get("bytes"))
        rows.append(
            [
                f"`{path}`",
                "the same for TensorFlow Serving, with labels and "
                "requests to warm up",
                size,
            ]
        )
    shrunk = section(artifacts, "shrunk")
    if shrunk:
        path = _relative(shrunk.get("path", "shrunk.keras"), folder)
        size = text.size(shrunk.get("bytes"))
        rows.append([f"`{path}`", "the same network for Keras", size])
    for name, what in _PLOTS.items():
        plot = section(artifacts, name)
        if plot:
            path = _relative(plot.get("path", f"{name}.png"), folder)
            rows.append([f"`{path}`", f"plot of {what}", ""])
    for phase, entry in section(artifacts, "checkpoints").items():
        entry = entry if isinstance(entry, Mapping) else {"path": entry}
        path = _relative(entry.get("path", ""), folder)
        rows.append(
            [f"`{path}`", f"after {phase}", text.size(entry.get("bytes"))]
        )
    prose = "## Files\n\n" + text.markdown_table(["file", "what", "size"], rows)
    if saved:
        prose += (
            "\n\nZeros take as much room as other numbers until the files are "
            "compressed."
        )
    return prose


def _usage(metrics: Mapping[str, Any]) -> str:
    if not section(section(metrics, "artifacts"), "saved_model"):
        return ""
    shape = section(metrics, "dataset").get("image_shape") or (32, 32, 3)
    name = section(metrics, "run").get("name") or "network"
    # TensorFlow Serving takes the name from a URL.
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in str(name))
    sizes = ", ".join(str(each) for each in shape)
    return f"""## Use it

From Python, with TensorFlow alone, in this folder:

```python
import tensorflow as tf

network = tf.saved_model.load("saved_model")
serve = network.signatures["serving_default"]
images = tf.zeros((1, {sizes}))  # float32 in [0, 1]: pixel values / 255
logits = serve(images=images)["logits"]
print(tf.argmax(logits, axis=-1).numpy(), tf.nn.softmax(logits).numpy())
```

The signature `serving_bytes` takes encoded images (PNG, JPEG, GIF, BMP) and
resizes those of another size. With TensorFlow Serving:

```sh
docker run -d -p 8501:8501 -e MODEL_NAME={name} \\
    -v "$PWD/saved_model:/models/{name}/1" tensorflow/serving
```

```sh
curl http://localhost:8501/v1/models/{name}:predict -d '{{
    "signature_name": "serving_bytes",
    "instances": [{{"image_bytes": {{
        "b64": "'"$(base64 < image.png | tr -d '\\n')"'"
    }}}}]
}}'
```"""


def _limits(metrics: Mapping[str, Any]) -> str:
    attacks = section(metrics, "attacks")
    proofs = section(metrics, "certification")
    items = []
    if proofs:
        items.append(_proved_limits(proofs))
    bounded = any("epsilon" in settings for settings in proofs.values())
    if attacks and bounded:
        items.append(
            f"Accuracy under {', '.join(attacks)} is an upper bound of the "
            "true robustness, certified accuracy a lower one: that lies "
            "between."
        )
    elif attacks:
        items.append(
            f"Robustness was measured with {', '.join(attacks)}, not proved. "
            "Each figure is an upper bound: a stronger attack may find more "
            "errors."
        )
    else:
        items.append("Robustness was not measured with a recorded attack.")
    for reach, names in _by_reach(attacks).items():
        items.append(
            f"Under {' and '.join(names)} an image changes by at most {reach}, "
            "pixel values in [0, 1]. Nothing is known about larger or other "
            "changes, such as rotations, patches or blur."
        )
    items.append(
        "The figures hold for images like those of the test set, not resized "
        "and not compressed again."
    )
    items.append(
        "The network always answers; it was not trained to recognise images "
        "of something else."
    )
    return "## Limits\n\n" + "\n".join(f"- {item}" for item in items)


def _by_reach(attacks: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns how far attacks may change an image, with their names."""
    found: dict[str, list[str]] = {}
    for name, settings in attacks.items():
        if "epsilon" not in settings:
            continue
        reach = text.radius(settings["epsilon"])
        model = settings.get("threat_model")
        if model:
            reach += f" in {meanings.THREAT_MODELS.get(model, model)} norm"
        found.setdefault(reach, []).append(name)
    return found


def _proved_limits(proofs: Mapping[str, Any]) -> str:
    """Says what certified accuracy does not say."""
    prose = ""
    if any("epsilon" in settings for settings in proofs.values()):
        prose = (
            "Bounds hold for every change within their radius in exact "
            "arithmetic; computed in float32, they are uncertain where a "
            "margin is within about 1e-5 of 0. "
        )
    if any("sigma" in settings for settings in proofs.values()):
        prose += (
            "Randomised smoothing certifies the network under a vote over "
            "noisy copies of an image, not the network alone, and is wrong "
            "about an image with the small probability alpha. "
        )
    return prose + "Nothing is proved beyond the radius."


def _versions(metrics: Mapping[str, Any]) -> str:
    environment = section(metrics, "environment")
    rows = [[key, _plain(value)] for key, value in environment.items()]
    if not rows:
        return ""
    return "## Versions\n\n" + text.markdown_table(["what", "version"], rows)


def _reproduction(metrics: Mapping[str, Any]) -> str:
    binary = section(metrics, "run").get("binary") or "pipeline"
    where = "With hydra_tf installed"
    if not startup.is_installed():
        where = "From a checkout of hydra_tf"
    return f"""## Run it again

{where}, with the path of this folder for `RUN`:

```sh
{startup.program(binary)} --flagfile=RUN/flags.txt --output_dir=RUN_AGAIN
```"""


def _relative(path: str, folder: str | os.PathLike | None) -> str:
    """Returns a path inside a folder relative to it, others unchanged."""
    if folder is None or not files.located(path).is_absolute():
        return str(path)
    inside = os.path.relpath(path, files.absolute(folder))
    return str(path) if inside.startswith("..") else inside


def _plain(value: Any) -> str:
    """Returns a value of a table without quotes and brackets."""
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        return ", ".join(str(each) for each in value)
    return str(value)
