"""Folders as runs leave them, without the training."""

from __future__ import annotations

import pathlib

from hydra_tf import files

ATTACK = {
    "epsilon": 0.1,
    "threat_model": "linf",
    "step_size": 0.05,
    "num_steps": 2,
}


def phase(natural, robust, **more):
    """Returns the entry of a phase that was measured under PGD."""
    return {
        "natural_accuracy": natural,
        "robust_accuracy": {"pgd": robust},
        "attacks": {"pgd": ATTACK},
        "num_examples": 40,
        "epochs": 2,
        "history": [
            {
                "epoch": epoch,
                "seconds": 1.0,
                "natural_accuracy": epoch / 4,
                "robust_accuracy": epoch / 8,
                "loss": 1.0,
            }
            for epoch in (1, 2)
        ],
        **more,
    }


def write(
    folder: pathlib.Path,
    method="hydra",
    density=0.1,
    seed=0,
    robust=0.5,
    *,
    dense=True,
    flags=(),
    **more,
):
    """Writes the folder of a finished run, and returns it."""
    phases = {"pretrain": phase(0.95, 0.7 + seed / 100)} if dense else {}
    phases["prune"] = phase(0.8, robust - 0.1)
    phases["finetune"] = phase(0.9, robust)
    metrics = {
        "phases": phases,
        "run": {
            "name": folder.name,
            "phase": "finetune",
            "model": "digits_model",
            "method": method,
            "density": density,
            "granularity": "weight",
            "seed": seed,
        },
        "sparsity": {
            "granularity": "weight",
            "density": density,
            "layers": [
                {
                    "name": name,
                    "weights": 1000,
                    "kept": round(1000 * density),
                    "density": density,
                    "flops": 5000,
                    "effective_flops": round(5000 * density),
                }
                for name in ("first", "last")
            ],
        },
        "artifacts": {"saved_model": {"bytes": 9000, "compressed_bytes": 900}},
        "dataset": {"name": "digits"},
        **more,
    }
    files.write_json(folder / "metrics.json", metrics)
    lines = ["--dataset=digits", f"--seed={seed}", f"--density={density}"]
    lines += [f"--method={method}", *flags]
    files.write_text(folder / "flags.txt", "\n".join(lines) + "\n")
    return folder


def evaluation(folder: pathlib.Path, source, *, sanity=None, **figures):
    """Writes the folder of an evaluation of a source, and returns it."""
    entry = {
        "source": str(source),
        "natural_accuracy": 0.875,
        "robust_accuracy": {"autoattack": 0.25, "fmn": 0.3},
        "attacks": {"autoattack": ATTACK, "fmn": ATTACK},
        "num_examples": 80,
        "intervals": {"autoattack": [0.2, 0.3]},
        "curves": {
            "fmn": {
                "radii": [0.0, 0.1, 0.2],
                "robust_accuracy": [0.875, 0.3, 0.0],
                "median_distance": 0.07,
            }
        },
        **figures,
    }
    metrics = {"networks": {"net": entry}, "run": {"binary": "evaluate"}}
    metrics |= {"sanity": sanity} if sanity else {}
    files.write_json(folder / "metrics.json", metrics)
    return folder


def exported(folder):
    """Writes the folder of an export in two formats, and returns it."""
    formats = {}
    for name, size in (("litert", 4000), ("litert_int8", 1000)):
        path = folder / "formats" / f"{name}.tflite"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        formats[name] = {
            "path": f"formats/{name}.tflite",
            "bytes": size,
            "compressed_bytes": size // 4,
            "natural_accuracy": 0.875,
            "transferred_accuracy": 0.5,
            "square_accuracy": 0.525,
            "agreement": 0.995,
            "latencies": [
                {"batch_size": 1, "median": size / 1e5, "p95": 0.1},
            ],
            "num_examples": 80,
            "epsilon": 0.15,
            "num_steps": 50,
            "num_queries": 1000,
            "threads": 1,
        }
    metrics = {"formats": formats, "run": {"binary": "export"}}
    files.write_json(folder / "metrics.json", metrics)
    return folder
