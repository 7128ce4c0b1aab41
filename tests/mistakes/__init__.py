"""Users' mistakes, by area; `tests/mistakes_test.py` makes each of them."""
