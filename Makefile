# `make run` and `make test` install what is missing (see .ci/install) and do the job; both are
# quick when nothing is missing. Paths are relative: a checkout may lie anywhere.
PY := .venv/bin/python
ARGS ?=
# Where each test run writes how many of its kind ran, for the last lines of `make test`.
TALLY := .venv/tally

.DEFAULT_GOAL := help
# Tests that load BPF or boot kernels do not share the machine with each other.
.NOTPARALLEL:
.PHONY: help run test test-unit test-kernel test-guest check lint format types layers bench \
	bench-acting bench-policies bench-detection kernel-matrix cast clean

help:
	@echo "make run [ARGS='…']    the live screen (through sudo where that is needed)"
	@echo "make test              every test that this machine can run"
	@echo "make test-kernel       only those that need root and this kernel's BPF"
	@echo "make test-guest        only those that boot other kernels"
	@echo "make check             ruff, mypy, import-linter"
	@echo "make bench [ARGS='…']  cost beside the other tools, as ratios (needs a quiet machine)"
	@echo "make bench-acting      how exactly a throttle holds, and what its victim gains"
	@echo "make bench-policies    docs/benchmark.md: our means beside the kernel's, 30 minutes"
	@echo "make bench-detection   docs/detection.md: which signs tell a flood, 13 minutes at most"
	@echo "make kernel-matrix     what works on each of Debian's kernels: writes docs/kernels.md"
	@echo "make cast              record the demo with asciinema into docs/demo.cast, with a picture"

run:
	@sh .ci/install run
	@if [ "$$(id -u)" -eq 0 ]; then \
		exec $(PY) -m iotop_ng $(ARGS); \
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then \
		exec sudo --preserve-env=TERM,COLORTERM,NO_COLOR,LANG,LC_ALL,TMUX,XDG_CONFIG_HOME \
			$(PY) -m iotop_ng $(ARGS); \
	else \
		exec $(PY) -m iotop_ng $(ARGS); \
	fi

test: test-unit test-kernel test-guest
	@echo; echo "ran:"; cat $(TALLY)

test-unit:
	@sh .ci/install test
	@rm -f $(TALLY)
	@IOTOP_NG_TALLY=$(TALLY) $(PY) -m pytest -q $(ARGS)

test-kernel:
	@sh .ci/install $$([ "$$(id -u)" -eq 0 ] && echo kernel || echo test)
	@IOTOP_NG_TALLY=$(TALLY) $(PY) -m pytest -q -p no:randomly -m kernel $(ARGS) || [ $$? -eq 5 ]

test-guest:
	@sh .ci/install guest
	@$(PY) -m tests.guest.kernels
	@IOTOP_NG_TALLY=$(TALLY) timeout --foreground $(if $(IOTOP_NG_GUESTS),1800,900) \
		$(PY) -m pytest -q -p no:randomly -m guest $(ARGS) || [ $$? -eq 5 ]

check: lint format types layers

lint format types layers: .venv/dev.stamp

lint:
	$(PY) -m ruff check .

format:
	$(PY) -m ruff format --check .

types:
	$(PY) -m mypy

layers:
	$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint(["--no-logo"])'

.venv/dev.stamp: pyproject.toml
	@sh .ci/install test

bench:
	@sh .ci/install bench
	@for name in start keyboard probes cost; do $(PY) -m tests.bench.bench_$$name $(ARGS) || exit; done

bench-acting:
	@sh .ci/install bench
	@for name in throttle victim; do $(PY) -m tests.bench.bench_$$name $(ARGS) || exit; done

bench-detection:
	@sh .ci/install guest
	$(PY) -m tests.bench.detection $(ARGS)

# A part that fails leaves its results of before; the report is made of all that there are.
POLICIES := $(PY) -m tests.bench.policies
bench-policies:
	@sh .ci/install guest
	-$(POLICIES) here --raw docs/benchmark/native-steady.jsonl $(ARGS)
	-$(POLICIES) guest --scenario steady --raw docs/benchmark/guest-steady.jsonl $(ARGS)
	-$(POLICIES) guest --scenario slow --raw docs/benchmark/guest-slow.jsonl $(ARGS)
	$(POLICIES) report docs/benchmark/*.jsonl

kernel-matrix:
	@sh .ci/install guest
	@$(PY) -m tests.guest.matrix $(ARGS)

# ARGS: --directory DIR on the disk that is flooded, --size 120x36, or --guest.
cast:
	@$(if $(findstring --guest,$(ARGS)),sh .ci/install guest,:)
	@sh .ci/install cast
	@$(PY) -m tests.cast.record $(ARGS)

clean:
	rm -rf .venv dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
