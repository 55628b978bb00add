# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
export UV_PYTHON_DOWNLOADS ?= never

.PHONY: demo test check setup setup-dev

demo: setup            ## a whole simulated night, no hardware
	@.venv/bin/firstlight demo

test: setup-dev        ## the tests (those that need a system package say so and are skipped)
	@.venv/bin/pytest -n 3 --dist worksteal

check: setup-dev       ## what a change must pass: lint, types, import contracts, tests
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest -n 3 --dist worksteal

setup:
	@uv=$$($(PYTHON) scripts/get_uv.py) && "$$uv" sync --quiet --locked --no-dev --inexact --python $(PYTHON)

setup-dev:
	@uv=$$($(PYTHON) scripts/get_uv.py) && "$$uv" sync --quiet --locked --python $(PYTHON)
