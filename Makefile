# Everything a fresh machine needs is made here: `make test` builds the environment first.
VENV    := .venv
PYTHON  ?= python3.11
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed

.PHONY: help test demo models lint docs schema bench fuzz chaos clean
help:      ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

test: $(STAMP) lint    ## lint, types and all tests
	$(BIN)/python -m pytest -q -n 3 --dist loadfile  # many tests wait for JVMs to start

demo: $(STAMP)    ## the whole story on scenes it simulates itself: table, training, maps, report
	$(BIN)/spark-cot demo --out demo

SYNTHETIC := build/synthetic
TRAIN := $(BIN)/spark-cot train $(SYNTHETIC) --resume
models: $(STAMP)    ## remake the models that ship, from nothing: about an hour on two cores
	$(BIN)/spark-cot simulate --rows 600000 --seed 7 --out $(SYNTHETIC)
	$(TRAIN) --recipe cot12 --out build/models/cot12
	$(TRAIN) --recipe cot11 --out build/models/cot11
	$(TRAIN) --recipe cot6 --out build/models/cot6
	$(TRAIN) --recipe student --teacher build/models/cot12 --out build/models/student
	cp -r build/models/student build/models/cot12 build/models/cot11 build/models/cot6 spark_cot/models/bundles/

lint: $(STAMP)    ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)    ## the pages and the reference of the code as a site, in build/site
	$(BIN)/mkdocs build --strict

schema: $(STAMP)    ## remake the schema page from the code
	$(BIN)/python -c "from spark_cot.simulate.schema import SYNTHETIC; from spark_cot.tables.schema import TABLES, schema_page; print(schema_page([*TABLES, SYNTHETIC]), end='')" > conf/SCHEMA.md

bench: $(STAMP)    ## all benchmarks: full-size scene, about 20 minutes and 5 GB of disk
	$(BIN)/python tests/benchmarks/bench_archive.py
	$(BIN)/python tests/benchmarks/bench_predictor.py
	$(BIN)/python tests/benchmarks/bench_simulate.py
	$(BIN)/python tests/benchmarks/bench_stream.py
	$(BIN)/python tests/benchmarks/bench_train.py

fuzz: $(STAMP)    ## 2,000 damaged products, each refused or read exactly
	$(BIN)/python tests/benchmarks/fuzz_safe.py --ingest 100

chaos: $(STAMP)    ## 50 runs killed at random moments and compared with an undisturbed one; needs root
	$(BIN)/python tests/benchmarks/chaos.py --runs 50

clean:    ## remove the environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 not found. Install it (Debian 12: apt-get install python3.11 python3.11-venv; conda: conda create -n cot python=3.11) or call make PYTHON=/path/to/python3.11"; exit 2; }
	@command -v java >/dev/null || [ -x "$$JAVA_HOME/bin/java" ] || { echo "Java 17 or 21 not found. Install it (Debian: apt-get install openjdk-17-jre-headless; conda: conda install openjdk=17) or set JAVA_HOME"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -U pip setuptools wheel
	$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@
