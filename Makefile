# `make run` and `make test` are all a newcomer needs; both install what they need. `make
# test-engines` needs Java and Maven on the machine, and no other target does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

PROTOS := $(wildcard proto/lakegate/v1/*.proto)
# The google/api and google/rpc protos, from the installed package.
GOOGLEAPIS = $(shell $(BIN)/python -c "import google.rpc as r; print(r.__path__[0].removesuffix('google/rpc'))")
PROTOC = $(BIN)/python -m grpc_tools.protoc -I proto -I $(GOOGLEAPIS)
# The contract as callers have it: `make lint` refuses what would break them.
PUBLISHED := proto/published.binpb
# Two processes; the tests of a file share its servers. PARALLEL= runs them one after the other.
PARALLEL ?= --numprocesses 2
# Envoy reads its configuration as it would at its start.
VALIDATE = $(BIN)/python -m lakegate.edge.bootstrap 127.0.0.1:50051 build/envoy && \
	$(BIN)/envoy --mode validate --log-level error --config-path build/envoy/bootstrap.json

.PHONY: install run check test test-engines coverage lint format generate publish lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: install  ## The server and Envoy on the embedded catalog, until Ctrl-C
	@exec $(BIN)/lakegate up

check: lint  ## While you work: style, types and the unit tests, under a minute
	$(BIN)/pytest -q $(PARALLEL) --dist worksteal tests/unit

test: lint  ## Everything that must hold
	$(BIN)/pytest -q $(PARALLEL) --dist loadfile --no-loadscope-reorder

coverage: install  ## What no test runs, of those that run in one process
	$(BIN)/pytest -q $(PARALLEL) --dist loadfile --cov=lakegate tests/unit tests/integration tests/contract

test-engines: install  ## What needs Java and Maven beside: real catalogs, real engines
	LAKEGATE_TEST_BATCHES=$${LAKEGATE_TEST_BATCHES:-2000} \
		$(BIN)/pytest -rs tests/engines tests/faults/test_two_servers_widening.py

lint: install build/contract.binpb  ## Style, types, layers, the contract, Envoy's configuration
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint build/contract.binpb --config buf.yaml --path lakegate
	$(BIN)/buf breaking build/contract.binpb --against $(PUBLISHED) --config buf.yaml --path lakegate
	@mkdir -p build/envoy
	$(VALIDATE)
	LAKEGATE_TLS_CERT=any LAKEGATE_TLS_KEY=any $(VALIDATE)

format: install
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

build/contract.binpb: $(PROTOS) | install
	@mkdir -p build
	$(PROTOC) --include_imports --include_source_info --descriptor_set_out=$@ $(PROTOS)

generate: install  ## The Python code of the contract
	@mkdir -p build
	$(PROTOC) --python_out=server --pyi_out=server --grpc_python_out=server $(PROTOS)
	$(PROTOC) --include_imports --include_source_info --descriptor_set_out=build/contract.binpb $(PROTOS)
	$(BIN)/python -m lakegate.openapi build/contract.binpb > envoy/openapi.json

publish: lint  ## Makes the contract as it stands the one that must not break
	$(PROTOC) --include_imports --descriptor_set_out=$(PUBLISHED) $(PROTOS)

lock: install  ## requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
		--quiet -o requirements.lock

clean:
	rm -rf $(VENV) build
