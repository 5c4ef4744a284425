# Everything on a fresh machine that has Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test fast check format notebooks clean

demo: $(VENV)/installed  ## train on the text that ships with Python, and write with it
	$(BIN)/lstmega train --corpus pydoc --preset tiny
	$(BIN)/lstmega sample --temps 0.5,0.8 --length 400

test: $(VENV)/installed-dev  ## the whole suite
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

fast: $(VENV)/installed-dev  ## all but the slow tests
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal -m "not slow"

check: $(VENV)/installed-dev  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: $(VENV)/installed-dev  ## run them again and keep what they show
	$(BIN)/python notebooks/refresh.py

clean:
	rm -rf .venv* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14) and \
		"TensorFlow needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml
	@echo "Installing TensorFlow and the rest into $(VENV): about 600 MB, a minute or two"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml
	@echo "Installing TensorFlow, the test tools and the rest into $(VENV): about 600 MB, a minute or two"
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/installed
