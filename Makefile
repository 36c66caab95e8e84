# The only doors. `make help` lists them; the words after ## are each one's help.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The system's own; whatever it runs first makes .venv, and .venv runs the rest.
PYTHON ?= python3
VENV := .venv/bin
export PYTHONPATH := src:services

.PHONY: help up test lint format requirements env-example bench bench-quick setup clean

help: ## list these doors
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s%s\n", $$1, $$2}' Makefile

up: ## run everything on this machine until Ctrl-C; WEB=3 WS=1 scales, PORT=18081 moves
	@$(PYTHON) -m deploy.local.setup up
	@exec $(VENV)/python -m deploy.local.up

test: ## run all tests this machine can run; ARGS='-k name' narrows
	@$(PYTHON) -m deploy.local.setup test
	@$(VENV)/python -m pytest $(ARGS)

lint: setup ## check format, style and security (ruff), types (mypy), layers (import-linter)
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@TIDEWIRE_ENVIRONMENT=development $(VENV)/python -m mypy
	@$(VENV)/lint-imports

format: setup ## format the code and mend what ruff can
	@$(VENV)/ruff check --fix-only .
	@$(VENV)/ruff format .

requirements: setup ## renew all pinned requirements together
	@$(VENV)/python -m deploy.local.requirements

env-example: setup ## write .env.example anew from services/dashboard/env.py
	@$(VENV)/python -m deploy.local.env_example

bench: ## measure fan-out beside what tidewire could be replaced with; writes docs/benchmarks.md
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m loadtest.bench $(ARGS)

bench-quick: ## the core of it in two minutes, on the screen alone
	@$(PYTHON) -m deploy.local.setup bench
	@$(VENV)/python -m loadtest.bench --quick $(ARGS)

setup: ## make .venv with all tools, for an editor or for trying things
	@$(PYTHON) -m deploy.local.setup dev

clean: ## remove .venv, the demo's data and everything else that was generated
	rm -rf .venv var dist .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src services deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +
