# `make demo` shows Frameferry at work, `make test` proves it; both set everything up by themselves.
# Noted first, so that the demo can tell where the seconds went, set-up included.
STARTED := $(shell date +%s)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -q
UV = $(or $(shell command -v uv),$(firstword $(wildcard $(or $(FRAMEFERRY_CACHE),.cache)/uv-*/bin/uv)))
COMPILE = $(UV) pip compile --quiet --python-version 3.11 --no-header --no-annotate
# Three processes, each with its own servers, since one often waits; what shares a file, or Spark,
# or a folder's Airflow, stays in one.
IN_THREE := -n 3 --dist loadscope --no-loadscope-reorder
# What waits most of its time for injected time-outs.
IN_FOUR := -n 4 --dist loadscope --no-loadscope-reorder
FTP_SERVERS := vsftpd proftpd pure-ftpd
FTP_KINDS := vsftpd,proftpd,pureftpd
FTP_TESTS := tests/integration tests/faults
CHECKS := check-unit check-property check-types check-imports check-lint check-format

TIMES := .venv/test-times

.PHONY: setup demo death-loop test search test-ftp-servers test-ftp-matrix test-prometheus test-clusters compose-test check mutants benchmark measure-memory measure-loads measure-audit model lock $(CHECKS)
.DEFAULT_GOAL := setup

setup: ## .venv, Java and the cache; at once where they are there
	@scripts/setup

demo: setup ## the whole chain on generated pictures; EXIT=1 stops everything at the end
	@$(BIN)/frameferry demo $(if $(EXIT),--exit) --started $(STARTED)

death-loop: setup ## the old design dies three times on one batch; Frameferry adopts it and delivers
	@$(BIN)/python -m benchmarks.death_loop

check: setup ## what every commit passes: format, lint, types, import contracts, fast tests
	@$(MAKE) --no-print-directory -j2 -Otarget $(CHECKS)

test: check ## everything, on real servers; then the longest tests, and why each needs its time
	@rm -f $(TIMES); failed=0; \
	$(PYTEST) --times=$(TIMES) $(IN_THREE) tests/integration tests/faults || failed=1; \
	$(PYTEST) --times=$(TIMES) $(IN_THREE) tests/endtoend tests/dags tests/browser || failed=1; \
	$(BIN)/python tests/longest.py $(TIMES); \
	exit $$failed # one failure hides no other

search: setup ## schedules and stories drawn anew, for MINUTES=30
	@scripts/search $(or $(MINUTES),30)

mutants: setup ## remove each guard of the promise in turn, and see the promise break
	@scripts/mutants

test-ftp-servers: setup ## the engine on vsftpd, ProFTPD and Pure-FTPd; Debian or Ubuntu, as root
	@scripts/unpack-debian $(FTP_SERVERS)
	@$(PYTEST) $(IN_FOUR) $(FTP_TESTS) --ftp-servers=$(FTP_KINDS)

test-ftp-matrix: setup ## every fault on every server, without selection; writes docs/ftp-matrix.md
	@scripts/unpack-debian $(FTP_SERVERS)
	@$(PYTEST) $(IN_FOUR) tests/faults/test_delivery_faults.py --ftp-servers=pyftpdlib,$(FTP_KINDS) --ftp-full --ftp-table=docs/ftp-matrix.md

test-prometheus: setup ## the rules, the dashboard and a scrape, by a real Prometheus; Debian or Ubuntu, as root
	@scripts/unpack-debian prometheus
	@$(PYTEST) tests/prometheus

compose-test: setup ## docker-compose.yaml built, started, killed and counted; PROFILE=celery|secured|workers|all
	@$(PYTEST) -s tests/compose $(if $(filter all,$(PROFILE)),,-k $(or $(PROFILE),plain))

test-clusters: setup ## Spark standalone and YARN, killed and misconfigured; SPARK=4.3.0 KAFKA=4.4.0: on other versions
	@scripts/test-clusters "$(SPARK)" "$(KAFKA)" tests/clusters $(ONLY)

benchmark: setup ## the chain beside a loop by hand and the old design: half an hour, or SMOKE=1; ONLY="--parts near"
	@$(if $(SMOKE),,scripts/unpack-debian vsftpd)
	@$(BIN)/python -m benchmarks.pipeline $(if $(SMOKE),--smoke) $(ONLY)

measure-memory: setup ## peak memory against a batch's size and a server's batches, drawn; ONLY="--scale 0.1"
	@scripts/unpack-debian vsftpd
	@$(BIN)/python -m benchmarks.memory $(ONLY)

measure-loads: setup ## four backlogs at default settings: failures, heap, memory; ONLY="--scale 0.1"
	@scripts/unpack-debian vsftpd
	@$(BIN)/python -m benchmarks.loads $(ONLY)

measure-audit: setup ## an audit of a million files on both databases: ten minutes; ONLY="--records 200000"
	@scripts/unpack-debian vsftpd
	@$(BIN)/python -m benchmarks.audit $(ONLY)

model: setup ## train the demo's model again
	@$(BIN)/python -m frameferry.demo.training

lock: setup ## pin requirements*.in anew in requirements*.txt
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt
	@$(COMPILE) -c requirements-dev.txt requirements.in -o requirements.txt
	@$(COMPILE) -c requirements-dev.txt requirements-celery.in -o requirements-celery.txt

check-format:
	@$(BIN)/ruff format --check --quiet .

check-lint:
	@$(BIN)/ruff check --quiet .

check-types:
	@$(BIN)/mypy --no-error-summary

check-imports:
	@out=$$($(BIN)/lint-imports 2>&1) || { echo "$$out"; exit 1; }

check-unit:
	@$(PYTEST) tests/unit tests/docs

check-property:
	@$(PYTEST) tests/property
