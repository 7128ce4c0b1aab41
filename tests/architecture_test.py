"""The tree keeps its shape: order of imports, silence, documentation."""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import subprocess
import sys

import keras
import pytest

import hydra_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Each part of the library may import the parts of lower rank, and itself.
RANKS = {
    "composite": 1,
    "errors": 0,
    "json_shape": 0,
    "later": 0,
    "files": 1,
    "graph": 2,
    "inputs": 2,
    "interrupts": 1,
    "keras_internals": 0,
    "phases": 1,
    "registry": 1,
    "text": 1,
    "progress": 2,
    "schedules": 2,
    "resumable": 2,
    "ops": 2,
    "data": 3,
    "models": 2,
    "layers": 3,
    "attacks": 4,
    "pruning": 4,
    "bounds": 5,
    "smoothing": 5,
    "torch_checkpoints": 5,
    "objectives": 6,
    "export": 7,
    "training": 7,
    "evaluation": 7,
}

# What each tree outside the library may import.
TREES = {
    "benchmarks": {"benchmarks", "flags", "hydra_tf", "trainers"},
    "flags": {"flags", "hydra_tf"},
    "hydra_tf": {"hydra_tf"},
    "tools": {"tools"},
    "trainers": {"flags", "hydra_tf", "trainers"},
}

# Slow to import: only the functions that use them may do so.
OPTIONAL = {
    "ai_edge_litert",
    "cleverhans",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "sklearn",
    "tensorflow_datasets",
    "tensorflow_model_optimization",
    "tensorflow_serving",
    "tf2onnx",
    "tf_keras",
    "torch",
}

# Modules without a test of their own, and the test that covers them: parts of
# one algorithm, and what only a whole run shows.
TESTED_BY = {
    "bounds/nonlinear": "bounds/curves",
    "bounds/rules/axes": "bounds/rules/normalization",
    "bounds/rules/convolutions": "bounds/rules/layers",
    "bounds/rules/dense": "bounds/rules/layers",
    "bounds/rules/kernels": "bounds/rules/layers",
    "bounds/rules/merging": "bounds/soundness",
    "bounds/rules/pooling": "bounds/rules/layers",
    "bounds/rules/shapes": "bounds/soundness",
    "data/decoded": "data/picture_files",
    "data/stored": "data/sources",
    "evaluation/sanity_checks": "evaluation/sanity",
    "files/failures": "files/replacing",
    "files/json_files": "files/replacing",
    "files/paths": "files/replacing",
    "layers/einsum_dense": "pruning/any_layer",
    "layers/embedding": "pruning/any_layer",
    "layers/kernel_scope": "layers/reuse",
    "layers/mask_view": "layers/masked_layer",
    "layers/maskable": "pruning/any_layer",
    "layers/masked_attribute": "pruning/any_layer",
    "layers/masking": "pruning/any_layer",
    "layers/recurrent": "pruning/any_layer",
    "pruning/channels/costs": "pruning/channels/groups",
    "pruning/channels/rules": "pruning/channels/flow",
    "pruning/choice": "pruning/exclude",
    "pruning/copying": "pruning/subclassed",
    "pruning/shrinking/liveness": "pruning/shrinking/shrink",
    "pruning/shrinking/rebuild": "pruning/shrinking/shrink",
    "export/one_file": "export/litert",
    "export/served": "export/saved_model",
    "export/warmup": "export/serving",
    "registry/export": "trainers/exporting/formats",
    "training/arguments": "training/robust_model",
    "training/forward": "training/robust_model",
    "training/made_for": "training/robust_model",
    "training/phase_training": "training/run_phase",
    "training/running_statistics": "training/distribution",
    "flags/image_flags": "flags/data_flags",
    "flags/inspect_flags": "trainers/inspection/inspect_source",
    "flags/pseudo_label_flags": "trainers/labelling/pseudo_labels",
    "flags/report_flags": "mistakes",
    "trainers/certify": "trainers/certification/certify_source",
    "trainers/convert": "trainers/converting/convert_checkpoint",
    "trainers/evaluate": "trainers/evaluation/evaluate_source",
    "trainers/export": "trainers/exporting/shrunk",
    "trainers/exporting/export_source": "trainers/pipeline",
    "trainers/finetune": "trainers/pipeline",
    "trainers/inspect": "trainers/inspection/inspect_source",
    "trainers/inspection/description": "trainers/inspection/inspect_source",
    "trainers/inspection/keras_file": "trainers/inspection/inspect_source",
    "trainers/inspection/portable": "trainers/inspection/inspect_source",
    "trainers/inspection/run_folder": "trainers/inspection/inspect_source",
    "trainers/inspection/saved_model": "trainers/inspection/inspect_source",
    "trainers/labelling/images": "trainers/labelling/pseudo_labels",
    "trainers/model_card/entries": "trainers/model_card/card",
    "trainers/model_card/formats_section": "trainers/exporting/formats",
    "trainers/model_card/front_matter": "trainers/model_card/card",
    "trainers/model_card/results_section": "trainers/model_card/card",
    "trainers/model_card/shrink_section": "trainers/model_card/card",
    "trainers/model_card/sparsity_section": "trainers/model_card/card",
    "trainers/plots/course": "trainers/reporting/report",
    "trainers/plots/examples": "trainers/reporting/report",
    "trainers/plots/figure": "trainers/plots/densities",
    "trainers/plots/layers": "trainers/reporting/report",
    "trainers/plots/methods": "trainers/reporting/report",
    "trainers/plots/radii": "trainers/reporting/report",
    "trainers/plots/style": "trainers/reporting/report",
    "trainers/plots/weights": "trainers/reporting/report",
    "trainers/pretrain": "trainers/pipeline",
    "trainers/prune": "trainers/pipeline",
    "trainers/pseudo_label": "trainers/labelling/pseudo_labels",
    "trainers/report": "trainers/reporting/report",
    "trainers/reporting/attacked": "trainers/reporting/report",
    "trainers/reporting/compared": "trainers/reporting/report",
    "trainers/reporting/kept": "trainers/reporting/report",
    "trainers/reporting/measured": "trainers/reporting/networks",
    "trainers/reporting/over_radius": "trainers/reporting/report",
    "trainers/reporting/page": "trainers/reporting/report",
    "trainers/reporting/pictures": "trainers/reporting/report",
    "trainers/reporting/section": "trainers/reporting/report",
    "trainers/reporting/single": "trainers/reporting/report",
    "trainers/reporting/tables": "trainers/reporting/report",
    "trainers/run/datasets": "trainers/imagenet",
    "trainers/run/environment": "trainers/pipeline",
    "trainers/run/networks": "trainers/pipeline",
    "trainers/run/source": "mistakes",
    "trainers/sweeping/plan": "trainers/sweeping/sweep",
    "trainers/sweeping/pretraining": "trainers/sweeping/sweep",
    "trainers/sweeping/record": "trainers/sweeping/sweep",
    "trainers/training/finishing": "trainers/pipeline",
    "trainers/training/own_parts": "mistakes",
    "trainers/training/pipeline": "trainers/pipeline",
    "trainers/training/plotting": "trainers/training/validation",
    "trainers/training/settings": "flags/objective_flags",
    "trainers/training/single_phase": "trainers/pipeline",
    "trainers/training/starting": "mistakes",
    "trainers/training/tensorboard": "trainers/pipeline",
}


def python_files(tree):
    return sorted((ROOT / tree).rglob("*.py"))


def relative(path):
    return path.relative_to(ROOT).as_posix()


def parse(path):
    return ast.parse(path.read_text(), relative(path))


def imported_names(path):
    """All `a.b.c` that a file imports, names of `from` imports included."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def library_modules():
    names = ["hydra_tf"] + [
        module.name
        for module in pkgutil.walk_packages(hydra_tf.__path__, "hydra_tf.")
    ]
    return [importlib.import_module(name) for name in names]


@pytest.mark.parametrize("tree", TREES)
def test_trees_import_only_what_is_below_them(tree):
    for path in python_files(tree):
        tops = {name.split(".")[0] for name in imported_names(path)}
        ours = tops & {*TREES, "tests"}
        assert ours <= TREES[tree], relative(path)


def test_every_part_of_the_library_has_a_rank():
    parts = {
        path.stem
        for path in (ROOT / "hydra_tf").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__"} == set(RANKS)


def test_library_imports_point_one_way():
    for path in python_files("hydra_tf"):
        part = path.relative_to(ROOT / "hydra_tf").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for name in imported_names(path):
            if name.split(".")[0] != "hydra_tf":
                continue
            used = name.split(".")[1]
            assert used in RANKS, (
                f"{relative(path)} imports {name}: name the module"
            )
            assert used == part or RANKS[used] < RANKS[part], (
                f"{relative(path)} imports {name} from above or beside it"
            )


def test_init_files_only_re_export():
    for path in python_files("hydra_tf"):
        if path.name != "__init__.py":
            continue
        docstring, *body = parse(path).body
        assert isinstance(docstring, ast.Expr), relative(path)
        for node in body:
            if isinstance(node, ast.If):
                # For checkers of types, what is imported at its first use.
                assert node.test.id == "TYPE_CHECKING"
                body += node.body
            elif isinstance(node, ast.Assign):
                assert node.targets[0].id in (
                    "__all__",
                    "__dir__",
                    "__getattr__",
                    "__version__",
                )
            else:
                assert isinstance(node, ast.ImportFrom), relative(path)
                assert node.names[0].name != "*", relative(path)


def test_tests_mirror_the_tree():
    modules = {
        relative(path).removeprefix("hydra_tf/").removesuffix(".py")
        for tree in ("flags", "hydra_tf", "trainers")
        for path in python_files(tree)
        if path.name != "__init__.py"
    }
    tests = {
        relative(path).removeprefix("tests/").removesuffix("_test.py")
        for path in (ROOT / "tests").rglob("*_test.py")
    }
    assert modules - tests == set(TESTED_BY)
    assert set(TESTED_BY.values()) <= tests


def test_library_reads_no_flag_and_no_environment_variable():
    for path in python_files("hydra_tf"):
        names = set(imported_names(path))
        assert not {"absl.flags", "absl.app", "os.environ"} & names, path
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("environ", "getenv"), (
                    f"{relative(path)}:{node.lineno}"
                )


# What reads and writes otherwise: local by its nature, or given a local copy.
LOCAL = {
    "hydra_tf/data/pictures.py",
    "hydra_tf/export/saved_model.py",
    "hydra_tf/registry/datasets.py",
    "trainers/run/folder.py",
    "trainers/terminal/startup.py",
}


@pytest.mark.parametrize("tree", ["hydra_tf", "trainers"])
def test_files_are_reached_through_one_package(tree):
    """So that all of them may be remote."""
    found = set()
    for path in python_files(tree):
        if "hydra_tf/files" in relative(path):
            continue
        for node in ast.walk(parse(path)):
            called = (
                ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            )
            if called in (
                "open",
                "os.path.exists",
                "os.path.isdir",
                "os.path.isfile",
            ) or called.startswith("shutil."):
                found.add(relative(path))
    assert found <= LOCAL


def test_library_neither_prints_nor_asserts():
    for path in python_files("hydra_tf"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", (
                    f"{relative(path)}:{node.lineno}"
                )
            assert not isinstance(node, ast.Assert), (
                f"{relative(path)}:{node.lineno}"
            )


def test_tables_need_no_tensorflow():
    for path in (
        *python_files("hydra_tf/registry"),
        ROOT / "hydra_tf/phases.py",
    ):
        tops = {name.split(".")[0] for name in imported_names(path)}
        assert not tops & {"keras", "tensorflow"}, relative(path)


def test_nothing_loads_a_pickle():
    for tree in TREES:
        for path in python_files(tree):
            tops = {name.split(".")[0] for name in imported_names(path)}
            assert not tops & {"pickle", "dill", "cloudpickle", "joblib"}, path
            for node in ast.walk(parse(path)):
                if isinstance(node, ast.keyword) and node.arg in (
                    "allow_pickle",
                    "enable_unsafe_deserialization",
                ):
                    assert getattr(node.value, "value", True) is False, path


# Of the library; each takes a millisecond or so.
MOST_MODULES = 234
LATER = ("bounds", "evaluation", "smoothing", "torch_checkpoints")


def test_import_of_the_library_is_quick_and_needs_no_optional_package():
    """Counts what is imported: times depend on the machine.

    `benchmarks/import_time.py` measures them.
    """
    program = f"""
import sys
import keras, tensorflow
before = set(sys.modules)
# Keras itself looks for some of them, where they are installed.
sys.modules.update(dict.fromkeys({sorted(OPTIONAL)}))
import hydra_tf
print(*set(sys.modules) - before)
hydra_tf.bounds, hydra_tf.evaluation, hydra_tf.export_saved_model
from hydra_tf import load_torch_checkpoint, smoothing
assert set(hydra_tf.__all__) <= set(dir(hydra_tf))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(result.stdout.split())
    assert "hydra_tf.layers.masked_layer" in loaded
    assert not {f"hydra_tf.{part}" for part in LATER} & loaded
    assert len(loaded) <= MOST_MODULES


def test_everything_public_is_documented():
    undocumented = []
    for module in library_modules():
        if not inspect.getdoc(module):
            undocumented.append(module.__name__)
        for name, thing in vars(module).items():
            if (
                name.startswith("_")
                or not (inspect.isclass(thing) or inspect.isfunction(thing))
                or thing.__module__ != module.__name__
            ):
                continue
            where = f"{module.__name__}.{name}"
            if not thing.__doc__:
                undocumented.append(where)
            if inspect.isclass(thing):
                undocumented += undocumented_members(thing, where)
    assert not undocumented


def undocumented_members(cls, where):
    """Public methods and properties that no base class describes either."""
    for name, member in vars(cls).items():
        member = getattr(member, "__func__", member)
        if name.startswith("_") or not (
            inspect.isfunction(member) or isinstance(member, property)
        ):
            continue
        # A mixin of layers overrides what Keras' layers describe.
        if any(
            hasattr(base, name)
            for base in (*cls.__mro__[1:], keras.layers.Dense)
        ):
            continue
        if not inspect.getdoc(member):
            yield f"{where}.{name}"


def test_python_files_of_the_library_are_short():
    for path in python_files("hydra_tf"):
        lines = len(path.read_text().splitlines())
        assert lines <= 500, f"{relative(path)}: {lines} lines, two concepts?"
