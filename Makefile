# Everything installs itself into .venv. Targets: train, test, slow, oracles, newest, mutants, lint,
# docs, golden, clean.
PYTHON ?= python3
VENV := .venv
RUNS ?= runs
BIN := $(VENV)/bin
export PYTHONUNBUFFERED := 1

.PHONY: train test slow oracles newest mutants golden lint docs clean

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "cnnjax needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# The frameworks that networks are compared with. torchvision and timm without their dependencies:
# those would replace the CPU build of torch.
$(VENV)/installed-oracles: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet 'keras>=3.15,<4' huggingface_hub pyyaml tqdm packaging pycocotools pandas termcolor
	$(BIN)/python -m pip install --quiet --no-deps 'torchvision==0.28.0' 'timm==1.0.31' 'captum==0.9.0' 'cleanlab==2.9.0'
	@touch $@

train: $(VENV)/installed
	$(BIN)/python -m experiments.train --config=configs/digits.py --workdir=$(RUNS)/digits

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not slow'

# The same promises for the deep networks, which take seconds each to compile, and all of verify.
slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist load -m slow

oracles: $(VENV)/installed-oracles
	$(BIN)/python -m pytest -n auto --dist load tests/oracles

# The suite in a system of its own: Python 3.13 on Debian 13, and the newest jax that pyproject.toml
# allows. The script lies beside the project, not in it; NEWEST names another, or other words for it:
# make newest SUITE='make slow'.
NEWEST ?= ../shared/tools/newest.sh
SUITE ?= make test
newest:
	@test -x $(NEWEST) || { echo "there is no $(NEWEST). What it does: install Python 3.13 and" \
	  "'.[dev]' with the newest jax in a container of Debian 13, and run '$(SUITE)' there" >&2; exit 1; }
	$(NEWEST) $(SUITE)

# Whether tests notice small changes to the source, of which 50 are drawn: under half an hour.
$(VENV)/installed-mutants: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[mutants]'
	@touch $@

mutants: $(VENV)/installed-mutants
	$(BIN)/python -m tests.mutants

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

golden: $(VENV)/installed-dev
	$(BIN)/python -m tests.golden

# The site of the documents, in build/docs: a link that leads nowhere is an error.
$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf $(VENV) runs docs/api build dist *.egg-info
