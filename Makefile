# `make help` lists the targets.

# The interpreter that makes the virtual environment: empty means the first of
# python3, python3.12, python3.11 and python3.10 that hydra_tf supports.
PYTHON ?=
VENV ?= .venv
# Test processes. Each imports TensorFlow, which takes about 5 s and 0.5 GB.
WORKERS ?= 2
# More arguments: make test ARGS="-k trades"; make demo ARGS=--density=0.01.
ARGS ?=

python := $(VENV)/bin/python
runtime := $(VENV)/.installed
development := $(VENV)/.installed-dev

# A process that has done its tests takes some from another.
pytest = $(python) -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo presets test test-slow lint format docs benchmarks
.PHONY: build-files wheel clean

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) \
		| while IFS='|' read -r target text; do \
			printf '%-20s %s\n' "$$target" "$$text"; done

# Where the demo writes: what ARGS say, else what its preset says.
demo_dir = $(lastword runs/digits_demo \
	$(patsubst --output_dir=%,%,$(filter --output_dir=%,$(ARGS))))

demo: $(runtime)  ## Train and prune a robust network on the digits, and report.
	$(python) -m trainers.pipeline --preset=digits_demo $(ARGS)
	$(python) -m trainers.report --runs=$(demo_dir)

presets: $(runtime)  ## List the recipes of the papers and the demonstrations.
	$(python) -m trainers.pipeline --list_presets

test: $(development)  ## Run the tests and the docstring examples.
	$(pytest) $(ARGS)

test-slow: $(development)  ## Run the tests that take minutes each.
	$(pytest) -m slow $(ARGS)

lint: $(development)  ## Check style, types and the Bazel files.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(python) tools/build_files.py --check

format: $(development)  ## Format the code and sort the imports.
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(development)  ## Build the guides and the API reference into docs/_build.
	$(python) tools/build_docs.py docs/_build

benchmarks: $(runtime)  ## Measure pruning methods against each other.
	$(python) -m benchmarks.methods_table $(ARGS)

build-files: $(development)  ## Write the Bazel BUILD files.
	$(python) tools/build_files.py

wheel: $(development)  ## Build the wheel into dist/.
	rm -rf build/lib build/bdist.*  # Modules that are there no more.
	$(python) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## Remove the environment and everything that was built.
	rm -rf $(VENV) build dist docs/_build *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(runtime): requirements.txt
	@PYTHON="$(PYTHON)" tools/make_venv.sh $(VENV) $^
	@touch $@

$(development): requirements.txt requirements-dev.txt
	@PYTHON="$(PYTHON)" tools/make_venv.sh $(VENV) $^
	@touch $(runtime) $@
