# Everything a fresh machine needs is made here: `make test` builds the environment first.
VENV    := .venv
PYTHON  ?= $(call python,3.13) $(call python,3.12) $(call python,3.11)
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
OLDEST  := .venv-oldest
LOCKS   := conf/locks

# A Python of that version which really runs: a shim of pyenv may stand there and lead nowhere.
python = $(shell for it in python$(1) $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$(1).*/bin/python; do \
	"$$it" -c 'import ensurepip, venv' 2>/dev/null && echo "$$it" && break; done)

.PHONY: help test test-survival test-pages test-oldest lock demo models evidence lint docs schema \
	bench fuzz chaos faults clean
help:      ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

# Without TCP between the JVM and its workers a task starts in 8 instead of 25 ms in a sandbox. Not
# for users: workers then complain of the closed socket when Spark ends. Spark 4.0 has no such thing.
test test-survival test-oldest bench chaos faults: export PYSPARK_SUBMIT_ARGS := \
	--conf spark.python.unix.domain.socket.enabled=true pyspark-shell

# Many tests wait for JVMs to start.
SIDE_BY_SIDE := -q -n 3 --dist loadfile
PAGES := tests/docs/test_pages.py
KILLS := tests/archive/test_chaos.py tests/commit/test_faults.py
SURVIVAL := $(KILLS) tests/engine/test_poison.py tests/engine/test_store_faults.py tests/integration
test: $(STAMP) lint    ## lint, types and all tests but those of the next two
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --no-loadscope-reorder \
		$(addprefix --ignore=,$(PAGES) $(SURVIVAL))  # slow ones first

test-survival: $(STAMP)    ## kill jobs, workers and clusters, cut power and stores: nothing is lost
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(SURVIVAL)

test-pages: $(STAMP)    ## run every command and snippet of the README and the pages, as a reader would
	$(BIN)/python -m pytest -q $(PAGES)

SUITES ?= $(addprefix tests/,archive commit engine infer learn models plan tables)
test-oldest: $(OLDEST)/.installed    ## SUITES but the kills on the oldest versions that are allowed
	$(OLDEST)/bin/python -m pytest $(SIDE_BY_SIDE) $(SUITES) $(addprefix --ignore=,$(KILLS))

lock: $(STAMP)    ## find today's newest versions, and the lowest that pyproject.toml allows
	$(call compile,--all-extras --upgrade) --output-file $(LOCKS)/newest.txt
	$(call compile,--extra dev --upgrade --resolution lowest-direct) --output-file $(LOCKS)/oldest.txt
compile = $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --no-annotate \
	--custom-compile-command "make lock" $(1)

demo: $(STAMP)    ## the whole story on scenes it simulates itself: table, training, maps, report
	$(BIN)/spark-cot demo --out demo

SYNTHETIC := build/synthetic
TRAIN := $(BIN)/spark-cot train $(SYNTHETIC) --resume
models: $(STAMP)    ## remake the models that ship, from nothing: about an hour on two cores
	$(BIN)/spark-cot simulate --rows 800000 --seed 7 --out $(SYNTHETIC)
	$(TRAIN) --recipe cot12 --out build/models/cot12
	$(TRAIN) --recipe cot11 --out build/models/cot11
	$(TRAIN) --recipe cot6 --out build/models/cot6
	$(TRAIN) --recipe student --teacher build/models/cot12 --out build/models/student
	cp -r $(addprefix build/models/,student cot12 cot11 cot6) spark_cot/models/bundles/

evidence: $(STAMP)    ## measure again what docs/models.md says of thin cloud, on the rows of `make models`
	$(BIN)/python docs/evidence.py $(SYNTHETIC)

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

fuzz: $(STAMP)    ## 2,000 products, damaged or odd, each refused, read exactly or as it states
	$(BIN)/python tests/benchmarks/fuzz_safe.py --ingest 100

chaos: $(STAMP)    ## 50 runs killed at random moments and compared with an undisturbed one; needs root
	$(BIN)/python tests/benchmarks/chaos.py --runs 50

faults: $(STAMP)    ## killed at every write, power cut, unread at every read, half restored: the same tables
	$(BIN)/python tests/benchmarks/faults.py

clean:    ## remove the environment and caches
	rm -rf $(VENV) $(OLDEST) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): pyproject.toml $(LOCKS)/newest.txt
	$(call environment,$(VENV),$(firstword $(PYTHON)),3.13 or 3.12 or 3.11,newest)

$(OLDEST)/.installed: pyproject.toml $(LOCKS)/oldest.txt
	$(call environment,$(OLDEST),$(call python,3.11),3.11,oldest)

# $(call environment,FOLDER,PYTHON,VERSIONS,LOCK): what the lock names, and this package.
define environment
	@[ -n "$(2)" ] || { echo "No Python $(3) runs here. Install one (Debian 12: apt-get install python3.11 python3.11-venv; conda: conda create -n cot python=3.13; pyenv: pyenv install 3.13) or call make PYTHON=/path/to/python3"; exit 2; }
	@command -v java >/dev/null || [ -x "$$JAVA_HOME/bin/java" ] || { echo "Java 17 or 21 not found. Install it (Debian: apt-get install openjdk-17-jre-headless; conda: conda install openjdk=17) or set JAVA_HOME"; exit 2; }
	$(2) -m venv --clear $(1)
	$(1)/bin/python -m pip install -q --constraint $(LOCKS)/$(4).txt uv
	$(1)/bin/uv pip install -q --python $(1)/bin/python --no-deps --requirement $(LOCKS)/$(4).txt --editable .
	@touch $@
endef
