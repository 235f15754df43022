# What a person types. `make` alone lists it.
#
# Everything is installed into .venv of this checkout and into the user's cache
# (~/.cache/kubbo); `make test` runs as root inside a network namespace of its own.

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
# Behind pytest or the benchmark: make test ARGS="-k reflector -x"
ARGS ?=

export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

ROOT := $(filter 0,$(shell id -u))

.NOTPARALLEL:
.PHONY: help setup check test test-quick may-test may-node testbed node-images java-peer go-peer demo bench fuzz fuzz-guided \
  native wheels soak doctor-score doctor-set clean

help:
	@echo "make demo        a consumer, three providers and an embedded cluster, in two minutes"
	@echo "make test        everything, against real peers, as root (NO_ROOT=1: what needs no root)"
	@echo "make test-quick  unit and property tests"
	@echo "make check       format, lint, types, import layers"
	@echo "make bench       against grpcio, grpclib, Dubbo Java and the other Hessian codecs"
	@echo "make fuzz        damaged input for every reader, 60 s each; property tests with new examples"
	@echo "make soak        what make test tries, ten times as often: about an hour"
	@echo "make doctor-score  how often kubbo doctor names what was broken; of a labelled set"
	@echo "make native      only build the compiled codec into $(VENV); it needs cargo"
	@echo "make wheels      both wheels, into dist/"
	@echo "make setup       only install the development tools into $(VENV)"
	@echo "make testbed     only build etcd, Kubernetes and CoreDNS"
	@echo "make clean       remove what all this has put into the checkout"

# --- installation: once, and again when pyproject.toml changes --------------------------------

setup: $(VENV)/.dev

$(VENV)/.dev $(VENV)/.bench $(VENV)/.fuzz: $(VENV)/.%: pyproject.toml
	@PYTHON="$(PYTHON)" .ci/venv $*

$(VENV)/.runtime: pyproject.toml
	@PYTHON="$(PYTHON)" .ci/venv runtime

testbed:
	@.ci/need openssl openssl
	@tests/testbed/build.sh >/dev/null

java-peer:
	@tests/interop/java/build.sh >/dev/null
	@tests/interop/java/build.sh 3.2.16 >/dev/null
	@tests/interop/java/kubernetes/fetch.sh >/dev/null

# What real nodes run that `kubbo image` does not make: once for each state of its sources.
node-images: $(VENV)/.dev
ifneq ($(ROOT),)
	@$(BIN)/python -m tests.testbed.images
endif

go-peer:
	@tests/interop/go/build.sh >/dev/null

# The compiled codec. Without cargo the pure one runs, and `make test` says so at its end.
CARGO := $(shell command -v cargo)

native: $(VENV)/.dev $(VENV)/.native

$(VENV)/.native: $(wildcard native/*.toml native/*.sh native/src/*.rs) | $(VENV)/.dev
	@native/build.sh install
	@touch $@

wheels: $(VENV)/.dev
	@native/build.sh wheel
	@$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist

# --- checks -----------------------------------------------------------------------------------

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# --- tests ------------------------------------------------------------------------------------

ifneq ($(ROOT),)
INSIDE := tests/in-namespace
endif

test: may-test may-node check testbed java-peer go-peer node-images $(if $(CARGO),native)
	tests/run $(BIN)/pytest $(ARGS)
ifeq ($(CARGO),)
	@echo "cargo is not here: only the pure codec was tested"
else ifeq ($(ARGS),)
	KUBBO_PURE=1 $(BIN)/pytest tests/unit/wire tests/property/test_hessian2.py
endif

# Before anything is built, not after.
may-test:
ifneq ($(ROOT),)
	@.ci/need ip iproute2
	@$(INSIDE) true
else ifneq ($(NO_ROOT),1)
	@echo "make test needs root (network namespaces, addresses on lo): run it as root," \
	  "or run what needs no root with: make test NO_ROOT=1" >&2; exit 1
endif

# Containers in containers are refused in many ways; what a node lacks here is said at once.
may-node: may-test $(VENV)/.dev
ifneq ($(ROOT),)
	@.ci/need-nodes
	@$(INSIDE) --nodes $(BIN)/python -m tests.testbed.machine
endif

test-quick: $(VENV)/.dev
	$(BIN)/pytest tests/unit tests/property $(ARGS)

# docs/fuzzing.md. FUZZ_INPUTS counts over all targets, and then the time does not.
FUZZ_SECONDS ?= 60
FUZZ_INPUTS ?= 0
FUZZ_TARGETS ?=

fuzz: $(VENV)/.dev
	$(BIN)/python -m fuzz $(FUZZ_TARGETS) --seconds $(FUZZ_SECONDS) --inputs $(FUZZ_INPUTS)
	$(BIN)/pytest tests/property --ignore=tests/property/test_fuzz.py --hypothesis-profile=fuzz \
	  --timeout=0 $(ARGS)

fuzz-guided: $(VENV)/.fuzz
	@for target in $(or $(FUZZ_TARGETS),$$($(BIN)/python -m fuzz --list)); do \
	  $(BIN)/python -m fuzz.guided $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; done

# Everything marked `soak`, many times more often; it ends with what was tried beside the zeros.
# docs/simulation.md; a part of it: make soak ARGS="-k kills"
soak: may-test testbed $(VENV)/.dev
	KUBBO_SIM_FAULTS=1000000 KUBBO_SIM_ROLLOUTS=500 KUBBO_SIM_HERDS=5 KUBBO_SIM_DNS=20 \
	  KUBBO_SLICE_SETS=1000000 KUBBO_API_KILLS=50 KUBBO_SCALE_SERVICES=2000 KUBBO_CANCELLATIONS=1000000 \
	  KUBBO_ROLLOUTS=100 \
	  $(INSIDE) $(BIN)/pytest tests/cluster tests/property tests/sim tests/unit/rpc/test_limits.py -m soak -v -rP --timeout=0 $(ARGS)

# --- to look at -------------------------------------------------------------------------------

# docs/doctor.md. The set itself is made on a real control plane, as root: make doctor-set
doctor-score: $(VENV)/.dev
	$(BIN)/python -m tests.cluster.doctor.score

doctor-set: may-node testbed java-peer node-images
	$(INSIDE) $(BIN)/python -m tests.cluster.doctor.make $(ARGS)
	KUBBO_DOCTOR_SET=1 $(INSIDE) --nodes $(BIN)/pytest tests/node --ignore=tests/node/test_tutorial.py

demo: $(VENV)/.runtime
	@$(BIN)/kubbo demo $(ARGS)

bench: $(VENV)/.bench $(if $(CARGO),native)
	$(BIN)/python -m bench $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +
