# What can be done in this project; `make` alone lists it. Every target sets up what it needs first.
# Another Python: make setup PYTHON=python3.12. More arguments for pytest: make test ARGS="-k infotext -x".

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EVERYDAY := not slow and not browser and not gpu

# Two test processes with one computing thread each: on two cores the threads of two torch processes would
# otherwise spin against each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup setup-system demo test test-fast test-slow lint format types imports check bench bench-full-size bench-stopping docs \
	screenshots regenerate clean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED) ## make .venv and install the project and its tools there; at once when nothing changed

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "pseudoword needs Python 3.11 or later, and '$(PYTHON)' is not one; try: make setup PYTHON=python3.12" >&2; \
		exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); a minute or two the first time"
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

setup-system: ## install the system packages of the browser tests (Debian, Ubuntu; nothing else needs them)
	@if ! command -v apt-get > /dev/null; then \
		echo "no apt-get here: install Chromium and its driver yourself; only the browser tests need them"; \
	elif [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
	else \
		sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
	fi

demo: setup ## teach the bundled model a word from the sample pictures; the result is in demo/
	$(BIN)/pseudoword demo

test: setup ## everything that is not marked slow, browser or gpu
	$(PYTEST) -m "$(EVERYDAY)" $(ARGS)

test-fast: setup ## under two minutes, for every commit: units, tiny models, the shape of the house
	$(PYTEST) -m "$(EVERYDAY)" tests/unit tests/arch $(ARGS)

test-slow: setup ## what takes minutes: the learned words' quality, the wheel in an empty environment
	$(BIN)/pytest -m slow $(ARGS)

lint: setup ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## basedpyright
	$(BIN)/basedpyright

imports: setup ## who may import whom (import-linter)
	$(BIN)/lint-imports

check: lint types imports test ## all that CI runs

bench: setup ## a training step here against a plain diffusers loop, side by side
	$(BIN)/python benchmarks/training_step.py $(ARGS)

bench-full-size: setup ## time, memory and FLOPs of a step at SD1.5's size against the published recipe; needs 2 GB of disk
	$(BIN)/python -m benchmarks.full_size $(ARGS)

bench-stopping: setup ## how much earlier training ends by itself than after a fixed number of steps, and what it reaches
	$(BIN)/python -m benchmarks.stopping $(ARGS)

docs: setup ## check that every link inside the documentation leads somewhere
	$(BIN)/python docs/check_links.py

screenshots: setup ## make the README's and the guide's pictures anew (the browser ones come with the web UI)
	$(BIN)/python tools/make_pictures.py

regenerate: setup ## everything here that a program made: sample pictures, README and guide, golden files, figures
	$(BIN)/pseudoword demo --out demo
	$(BIN)/pseudoword demo --word mirp --out build/demo-mirp
	$(BIN)/python tools/make_samples.py
	$(BIN)/python tools/make_pictures.py --demo demo --subject build/demo-mirp --out docs/images
	$(BIN)/python tools/make_golden.py --word demo/hikon.safetensors
	$(BIN)/python tools/make_figures.py --style demo/hikon.safetensors --subject build/demo-mirp/mirp.safetensors
	$(BIN)/python docs/check_links.py

clean: ## remove what was built and measured here; .venv stays
	rm -rf build dist demo htmlcov .coverage .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
