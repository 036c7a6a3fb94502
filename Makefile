# Everything needed comes from PyPI; see README.md.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& echo $$p && break; done)
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check

.PHONY: run test lint docs messages bench study soak clean

run: $(VENV)/.run        ## set everything up, start the studio
	@exec $(PY) manage.py studio

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "MER Studio needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: apt-get install python3 python3-venv), on PATH or as PYTHON=/path/to/python."; exit 1; }
	@echo "Making the environment with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python requirements.txt requirements-web.txt requirements-weights.txt
	@echo "Installing packages (about 2.5 GB, 2 minutes on a fast line) ..."
	@sh docker/install.sh worker || { echo "The packages could not be installed: see pip's message above. A full disk shows as 'No space left on device' (3 GB are needed); a refused connection as 'Could not fetch'; an error of gcc or a compiler means that a package has no ready-made build for this Python: use 3.11, 3.12 or 3.13 (rm -rf .venv && PYTHON=python3.11 make run)."; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@echo "Installing the packages of tests and linters ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.readers: $(VENV)/bin/python requirements-readers.txt
	@echo "Installing the libraries that read our exports ..."
	@$(PY) -m venv $(VENV)/readers
	@$(VENV)/readers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-readers.txt
	@touch $@

test: $(VENV)/.dev $(VENV)/.readers lint  ## every test: SQLite, PostgreSQL, real workers, real browser
	@$(PY) -m tests.needs
	@$(PY) -m pytest --no-cov -q -m stack > .stack.log 2>&1 & stack=$$!; \
	$(PY) -m pytest --no-cov -q -m "not stack"; sqlite=$$?; \
	echo "The tests marked database, on PostgreSQL:"; \
	$(PY) -m pytest --no-cov -q -m database --ds tests.settings_postgres; postgres=$$?; \
	wait $$stack; stack=$$?; \
	echo "The tests of the whole studio, with its own processes and a browser:"; tail -n 40 .stack.log | cut -c1-300; \
	grep -E '^(E  |FAILED |ERROR )' .stack.log | cut -c1-200 | head -n 200; \
	test $$sqlite -eq 0 -a $$postgres -eq 0 -a $$stack -eq 0

lint: $(VENV)/.dev       ## style, types, import directions
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/mypy
	$(VENV)/bin/djlint --check --lint --quiet templates
	$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml config datasets annotate mer
	$(VENV)/bin/hadolint docker/Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yml
	$(VENV)/bin/mkdocs build --strict --site-dir $(VENV)/site
	$(PY) -m tests.audit

docs: $(VENV)/.dev       ## the documentation as a site, in site/
	$(VENV)/bin/mkdocs build --strict

messages: $(VENV)/.dev   ## bring the catalogue of messages up to date
	$(PY) -m tests.house.languages

bench: $(VENV)/.dev      ## measure, side by side with what a user would run instead
	$(PY) -m benchmarks

study: $(VENV)/.dev      ## the long run on real data: STUDY_DATA=/path/to/folder make study
	$(PY) -m benchmarks.study

soak: $(VENV)/.dev       ## 20 minutes of raters, ingest and training together: SOAK_S=1200
	SOAK_S=$${SOAK_S:-1200}; export SOAK_S; $(PY) -m pytest --no-cov -q -s -m stack --timeout=$$((SOAK_S + 600)) tests/test_soak.py

clean:                   ## remove the environment (data/ is kept)
	rm -rf $(VENV) staticfiles
