# `make demo` and `make test` are all that a fresh machine needs.
# Variables: PYTHON=python3.12, TORCH=cpu, VERBOSE=1; WORKERS=0 runs tests one after the other.
PYTHON ?= python3
WORKERS ?= auto
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
# without PYTHON=..., an environment that another interpreter made is kept
ANY_PYTHON := $(if $(filter file,$(origin PYTHON)),--any-python)
VERBOSITY := $(if $(VERBOSE),--verbose)
UV := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 $(if $(UPGRADE),--upgrade)

.PHONY: install demo test test-slow test-all lint bench lock profiles schema clean

install:
	@$(PYTHON) envs/install.py --venv $(VENV) $(ANY_PYTHON) $(if $(TORCH),--torch $(TORCH)) $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

demo: install
	$(BIN)/snakemake --cores all $(VERBOSITY) demo
	@cat results/summary.txt

test: install
	$(PYTEST) -m "not slow"

test-slow: install
	$(PYTEST) -m slow --durations 15

# in one run the short tests fill the cores while the last long ones end
test-all: install
	$(PYTEST) --durations 15

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

bench: install
	$(BIN)/python -m benchmarks.ratios

# versions that fit stay; UPGRADE=1 takes the newest
lock: install
	$(UV) --extra dev --extra slurm pyproject.toml --output-file envs/requirements.lock
	$(BIN)/python envs/lock.py

# the profiles of all engines, from profiles/resources.yaml
profiles: install
	$(BIN)/python profiles/write.py

# what editors know of config.yaml, from its types
schema: install
	$(BIN)/python config/write_schema.py

clean:
	@$(PYTHON) envs/clean.py
