"""Parts of a package that are imported at their first use."""

import importlib
import sys
import types

import pytest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, one of them with a function."""
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from hydra_tf import later\n"
        "__all__ = ['one', 'answer']\n"
        "__getattr__ = later.importer(__name__, 'one', 'two:answer')\n"
        "__dir__ = later.listing(__name__, __all__)\n"
    )
    (folder / "one.py").write_text("")
    (folder / "two.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("some_package")
    for name in [each for each in sys.modules if "some_package" in each]:
        del sys.modules[name]


def test_modules_and_what_is_in_them_come_at_first_use(package):
    assert {"one", "answer"} <= set(dir(package))
    assert "some_package.two" not in sys.modules
    assert package.answer() == 42
    assert "some_package.one" not in sys.modules
    assert isinstance(package.one, types.ModuleType)
    # No call of `__getattr__` from now on.
    assert {"one", "answer"} <= set(vars(package))


def test_other_names_are_errors(package):
    with pytest.raises(AttributeError, match="'some_package' has no .* 'two'"):
        package.two  # noqa: B018
