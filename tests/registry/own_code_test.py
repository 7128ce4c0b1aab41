"""Whose code an error is of."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.registry import own_code
from hydra_tf.registry.table import import_object

MINE = """
def helper(x):
    return 1 / x

def network(x):
    return helper(x)

class Noisy:
    def loss(self, x):
        raise KeyError("gone\\nfor good")

def silent():
    raise ValueError
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    # A name of its own: modules stay imported.
    (tmp_path / "own_code_example.py").write_text(MINE)
    return "own_code_example"


def test_error_says_whose_code_it_was_and_where(mine):
    network = import_object(f"{mine}:network")
    import_object(f"{mine}:Noisy")
    with pytest.raises(InputError) as caught:
        own_code.call(network, 0)
    assert str(caught.value) == (
        f"'{mine}:network' raised ZeroDivisionError: division by zero "
        "(own_code_example.py, line 3 in helper: return 1 / x)"
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_methods_are_of_their_class_and_messages_of_one_line(mine):
    import_object(f"{mine}:network")
    noisy = import_object(f"{mine}:Noisy")()
    with pytest.raises(InputError, match="^'own_code_example:Noisy'.*gone"):
        try:
            noisy.loss(0)
        except KeyError as error:
            raise own_code.blame(error) from None
    with pytest.raises(InputError, match=r"ValueError \(own_code_example"):
        own_code.call(import_object(f"{mine}:silent"))


def test_errors_of_others_pass():
    with pytest.raises(ZeroDivisionError):
        own_code.call(lambda: 1 / 0)
    assert own_code.blame(ValueError("elsewhere")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\ny = x / 0\n", ["ZeroDivisionError", "line 2: y = x / 0"]),
        ("def f(:\n", ["SyntaxError", "line 1"]),
        ("import no_such_module_at_all\n", ["cannot be imported"]),
        ("raise SystemExit(3)\n", ["SystemExit: 3"]),
    ],
)
def test_module_that_cannot_be_imported(text, words, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_code_broken.py").write_text(text)
    with pytest.raises(InputError) as caught:
        import_object("own_code_broken:network")
    message = str(caught.value)
    assert "own_code_broken:network" in message and "\n" not in message
    assert all(word in message for word in words), message
