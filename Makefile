# `make demo` and `make test` are all a newcomer needs: each makes .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= all,dev
STAMP := $(VENV)/.installed
CHECKED := wyckoffkit reference_model cli tables tests

.PHONY: demo test slow bench docs lint types tables wheel clean setup

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "wyckoffkit needs Python 3.11 to 3.13: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing wyckoffkit[$(EXTRAS)] into $(VENV) (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]' 2>$(VENV)/pip.log \
	  || { cat $(VENV)/pip.log; exit 1; }
	@touch $@

demo: $(STAMP)
	@mkdir -p demo
	$(BIN)/python -m reference_model.sample -n 1000 --seed 0 -o demo/labels.txt --force
	$(BIN)/python -m reference_model.evaluate demo/labels.txt --json demo/evaluation.json --report demo/report.html
	@echo "labels: demo/labels.txt   figures: demo/evaluation.json   report: demo/report.html"

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

slow: $(STAMP)
	$(BIN)/python -m pytest -n 2 -m slow

bench: $(STAMP)
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

lint: $(STAMP)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)

types: $(STAMP)
	$(BIN)/mypy

tables: $(STAMP)
	$(BIN)/python tables/generate.py --check

wheel: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build --quiet --outdir dist

clean:
	rm -rf $(VENV) build dist site demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
