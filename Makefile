# make demo | flask | serve | space | test | quick | installed | lint | format | docs | clean. Each sets up what it needs.

# the newest last: TensorFlow is not there for it yet
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Python compiles what it uses when it first does; all that comes along takes a minute.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

# where it is set, as in many containers, every start compiles TensorFlow or Gradio anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo flask serve space test quick installed lint format docs clean

demo: $(VENV)/apps
	$(BIN)/python demo.py

flask: $(VENV)/apps
	$(BIN)/python flask_app.py

space: $(VENV)/apps
	$(BIN)/python -m pneumonia space build/space

serve: $(VENV)/apps
	$(BIN)/python -m pneumonia serve form

# More workers would need more memory, and more threads of each would wait for others'.
PYTEST := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	$(BIN)/python -m pytest -n 2

test: $(VENV)/all lint
	$(PYTEST) --dist loadfile --no-loadscope-reorder

# What a change to reading, serving or a page needs: no training, browser or server.
quick: $(VENV)/all lint
	$(PYTEST) --dist worksteal --quick

# What is shipped, in empty environments: the Space, the image, the wheel. It fetches packages.
installed: $(VENV)/all
	PNEUMONIA_INSTALL=1 $(BIN)/python -m pytest tests/test_install.py

lint: $(VENV)/all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# what README and docs say of figures, files and options
docs: $(VENV)/all
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV)

$(VENV)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.14 found." \
		"Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 15) or \
		sys.exit(f"Python {v.major}.{v.minor} found, expected 3.11 to 3.14.")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/apps: $(VENV)/python pyproject.toml constraints.txt
	$(INSTALL) -c constraints.txt -e .[apps]
	@touch $@

$(VENV)/all: $(VENV)/python pyproject.toml requirements.txt constraints.txt
	$(INSTALL) -c constraints.txt -r requirements.txt
	@touch $@ $(VENV)/apps
