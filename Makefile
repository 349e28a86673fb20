# Two commands: `make demo` runs the main job, `make test` runs the tests. Both set up .venv first.
PYTHON ?=
VENV ?= .venv
WORKERS ?= 2
export PYTHON VENV

.PHONY: setup demo test lint coverage wheel-check train clean
setup:
	@sh scripts/setup.sh

demo: setup
	$(VENV)/bin/abm study models/opinion_network/studies/exposure_arms.toml --workers $(WORKERS)

test: setup
	$(VENV)/bin/python -m pytest

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	VENV=$(VENV) sh scripts/typecheck.sh

coverage: setup
	$(VENV)/bin/python -m pytest --cov=abm --cov=models --cov=analysis --cov=calibration --cov-report=term

wheel-check: setup
	VENV=$(VENV) sh scripts/wheel_check.sh

train: setup
	$(VENV)/bin/python -m pip install -q -e '.[train]'
	$(VENV)/bin/python -m abm.llm.embedded.training

clean:
	rm -rf $(VENV) build dist *.egg-info
