# Two commands matter: `make demo` shows it work, `make start` runs it on ./workdir.
# PYTHON=/path/to/python3 chooses the interpreter; ARGS='--language French' is passed to start-service.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo start test check lint hostile fuzz torture torture-full torture-times mutants memory behind load soak sameness exact bench bench-full bench-smoke bench-queue accuracy gpu image clean

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS ?=
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$each" $(NEW_ENOUGH) && echo "$$each" && break; done)

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(INSTALLED) ## the virtual environment .venv with everything in it

$(INSTALLED): pyproject.toml constraints.txt
	@"$(PYTHON)" $(NEW_ENOUGH) || { echo "Python 3.11 or newer is needed (on Debian and Ubuntu: apt install python3 python3-venv)," \
		"or name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) lacks the module venv:" \
		"apt install python3-venv (Debian, Ubuntu), then run make again" >&2; exit 1; }
	test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	@touch $@

demo: setup ## a fresh service transcribes samples/ before your eyes
	@$(BIN)/python scripts/demo.py

start: setup ## the service on ./workdir and port 8000; stop it with Ctrl-C
	@exec $(BIN)/python app.py start-service $(ARGS)

test: setup ## every test, in two processes: a file of tests, with what it starts, in one of them
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint ## everything that is quick: style, types, arrows between rooms, unit tests
	@$(BIN)/python -m pytest tests/unit -n 2

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

hostile: setup ## every hostile file and name, swapped links, mutated recordings (20 minutes; ARGS='--seconds 300 --seed 2')
	@$(BIN)/python -m pytest tests/hostile --at_length $(ARGS)

fuzz: setup ## every route of the API, asked by schemathesis with keys and without (15 minutes; ARGS='--cases 1000 --seed 2')
	@$(BIN)/python -m tests.fuzz $(ARGS)

torture: setup ## a seeded sample of crashes, full disks, power cuts and worse (an hour at most; ARGS='--seed 2')
	@$(BIN)/python -m tests.torture --minutes 55 $(ARGS)

torture-full: setup ## every point of every lane (many hours; goes on where it was)
	@$(BIN)/python -m tests.torture --resume $(ARGS)

torture-times: setup ## how long recovery and discovery take (ARGS='core full --count 50')
	@$(BIN)/python -m tests.torture.times $(ARGS)

mutants: setup ## defects put in on purpose: does the suite notice each?
	@$(BIN)/python -m tests.torture.mutants $(ARGS)

memory: setup ## peak memory of each process for ten minutes and an hour of speech (slow)
	@$(BIN)/python benchmarks/memory.py $(if $(ARGS),-- $(ARGS))

behind: setup ## a minute of speech behind ten hours: how long does it wait? (five minutes)
	@$(BIN)/python -m benchmarks.behind $(ARGS)

sameness: setup ## is a text the same in whatever company, and after crashes? (ARGS='--runs 20 FOLDER')
	@$(BIN)/python -m benchmarks.sameness $(or $(ARGS),../shared/corpus/dev/fr)

load: setup ## what listeners cost, and the API's answers while an archive arrives and a thousand listen (4 minutes)
	@$(BIN)/python -m benchmarks.load $(ARGS)

exact: setup ## exact mode against whisper.transcribe on a folder of recordings (slow)
	@$(BIN)/python -m benchmarks.exact $(or $(ARGS),../shared/corpus/dev)

bench: setup ## this project against its peers, to docs/benchmarks.md (an hour at most)
	@$(BIN)/python -m benchmarks.bench --document $(ARGS)

bench-full: setup ## every system on all of the audio (many hours)
	@$(BIN)/python -m benchmarks.bench --name bench-full --full --pieces 500 $(ARGS)

bench-smoke: setup ## does the benchmark run? on samples/, a few minutes
	@$(BIN)/python -m benchmarks.bench --name smoke --corpus samples --rounds 1 --minutes 1 --pieces 4 --windows 2 \
		--workload long,short,alone --only 'ours, greedy;int8, beam 1;beam 1' --skip 'float32;batched 16;openai' $(ARGS)

accuracy: setup ## word error rate and windows of batched mode (ARGS='CORPUS --peers FILE')
	@$(BIN)/python -m benchmarks.accuracy $(ARGS)

bench-queue: setup ## the queue with a million tasks beside its peers, to docs/queue.md (half an hour; ARGS='--only directories')
	@$(BIN)/python -m benchmarks.queues $(ARGS)

soak: setup ## a service under steady work: do memory and descriptors grow? (an hour; ARGS='--minutes 600')
	@$(BIN)/python -m tests.torture.soak $(ARGS)

gpu: setup ## throughput on a CUDA GPU, if there is one
	@$(BIN)/python -m benchmarks.gpu $(ARGS)

image: ## the Docker image whisper:0.0
	docker build -t whisper:0.0 -f Dockerfile.gpu .

clean: ## what can be made again; never workdir/
	rm -rf $(VENV) build dist *.egg-info .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
