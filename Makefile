# `make help` lists what there is. Needs Python 3.11 or newer with venv and pip; everything else goes into .venv.
PYTHON ?= python3
JOBS ?= 2
# Of the benchmarks: fresh processes per figure, and other options of benchmarks/run.py or benchmarks/serving.
ROUNDS ?= 3
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python
# Without --no-compile pip spends a quarter of the time on modules that nothing imports.
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile
# Processes that tests start find modules compiled, also where the environment has Python compile anew each time. Every
# test worker uses one core, and takes over from the others what they have not begun: a minute of waiting for a
# server holds up nothing else.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist worksteal
DEMO := $(RUN) -m seqc train models/digits_cnn.py --plots
BENCH := $(RUN) benchmarks/run.py --rounds $(ROUNDS) --variants --write $(ARGS)

FOR_USE := $(VENV)/installed-for-use
FOR_WORK := $(VENV)/installed-for-work
FOR_CONSUMERS := $(VENV)/installed-for-consumers
RECORDED := $(wildcard tests/parity/test_*_cases.py) tests/parity/test_keras_functional.py tests/parity/test_keras_files.py tests/test_api.py
PROJECTS := pyproject.toml runtime/pyproject.toml

.PHONY: proto help demo serve-demo test test-slow test-recorded docs notebooks check format bench bench-onnx bench-serve bench-serve-peers cases compat-cases model-files clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' Makefile

demo: $(FOR_USE) ## train, export and verify the example, with plots
	$(DEMO)

serve-demo: $(FOR_USE) ## train and export the example, and serve it on port PORT, with a page to draw digits
	$(RUN) runtime/examples/serve_digits.py

test: $(FOR_WORK) ## run the tests except the slow ones
	$(PYTEST)

test-slow: $(FOR_CONSUMERS) ## run the slow tests only
	$(PYTEST) -m slow

test-recorded: $(FOR_WORK) ## compare with everything recorded from Keras: numbers, gradients, states, both precisions, ONNX
	$(PYTEST) -m "" $(RECORDED)

check: $(FOR_WORK) ## lint, formatting and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(FOR_WORK) ## rewrite the sources in the project's format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: $(FOR_WORK) ## build the documentation site in build/site; every warning is an error
	$(INSTALL) --editable ".[docs]"
	$(RUN) -m sphinx -W --keep-going -n -q -c docs . build/site
	@echo "build/site/index.html"

notebooks: $(FOR_WORK) ## make the notebooks and pictures of the examples (NAMES, or all) again from their scripts
	$(INSTALL) --editable ".[examples,skl2onnx]" pandas
	$(RUN) tools/notebooks.py $(NAMES)

KERAS_PYTHON ?= python
cases: ## record layer cases (IDS, or all rows of tests/kit/record_cases.py) with KERAS_PYTHON, which has Keras 3 and TensorFlow
	cd tests && $(KERAS_PYTHON) -m kit.record_cases $(IDS)

compat-cases: ## record what the programs of examples/compat (NAMES, or all) print with KERAS_PYTHON, which has JAX, too
	cd tests && $(KERAS_PYTHON) -m kit.compat_programs $(NAMES)

ENVIRONMENTS ?= .keras-environments
model-files: ## record files of every Keras that people have files of, each installed in an environment in ENVIRONMENTS
	python tests/kit/record_versions.py $(ENVIRONMENTS)

bench: $(FOR_WORK) ## compare the training speed with peers that are there, and write benchmarks/RESULTS.md
	$(BENCH)

bench-onnx: $(FOR_WORK) ## compare ONNX files with those of exporters of benchmarks/install_peers.sh, and write benchmarks/ONNX.md
	PYTHONPATH=benchmarks $(RUN) -m exporters $(ARGS)

bench-serve: $(FOR_WORK) ## compare the server with those that bench-serve-peers installed, and write benchmarks/SERVING.md
	PYTHONPATH=benchmarks $(RUN) -m serving $(ARGS)

bench-serve-peers: $(FOR_WORK) ## install other servers, each in an environment of its own in .serving-environments
	PYTHONPATH=benchmarks $(RUN) -m serving.environments

proto: $(FOR_WORK) ## compile the .proto files of the server's gRPC side
	$(INSTALL) grpcio-tools
	$(RUN) -m grpc_tools.protoc -I runtime/seqc_runtime/server/grpc \
		--descriptor_set_out=runtime/seqc_runtime/server/grpc/protocol.binpb inference.proto health.proto reflection.proto

clean: ## remove the virtual environment, caches and build results
	rm -rf $(VENV) .old-runtimes .client-environments .serving-environments build dist docs/reference runtime/build runtime/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit("seqc needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(FOR_USE): $(PROJECTS) | $(RUN)
	$(INSTALL) --editable "./runtime[cpu,server]" --editable ".[cpu,plot]"
	touch $@

$(FOR_WORK): $(PROJECTS) | $(RUN)
	$(INSTALL) --editable "./runtime[cpu,server,grpc,images]" --editable ".[cpu,plot,dev]"
	touch $(FOR_USE) $@

$(FOR_CONSUMERS): $(FOR_WORK)
	$(INSTALL) --editable ".[consumers,docs]"
# Triton's server is in this wheel, for Linux alone; what the wheel asks for is for its Python part, which nobody uses here.
	-$(INSTALL) --no-deps "nvidia-pytriton>=0.7"
	touch $@
