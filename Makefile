# The only doors. `make help` lists them; each target's line after ## is its help.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
VENV := .venv/bin
export PYTHONPATH := src:services

.PHONY: help
help: ## list these doors
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## make .venv with everything that tests and linters need
	@$(PYTHON) -m deploy.local.setup dev

.PHONY: lint
lint: setup ## format check, lint, types, layers, security
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	TIDEWIRE_ENVIRONMENT=development $(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/bandit -q -r src services deploy -c pyproject.toml

.PHONY: requirements
requirements: setup ## renew all pinned requirements together
	$(VENV)/python -m deploy.local.requirements
