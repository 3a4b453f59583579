# Needs Python 3.11 or newer and make. Everything else is installed into .venv, at the exact versions of requirements.txt.

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# In an environment of its own: it needs much that nothing else here does.
AUDIT := $(VENV)/audit
# One test process more than there are processors, since tests wait for servers; one that is done takes tests from another.
SIDE_BY_SIDE := --numprocesses $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 --dist worksteal
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What Python compiled is kept, whatever the environment says: many processes of the same code are started.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run sign-in-link demo test test-postgresql lint audit bench soak screenshots migration

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r target words; do printf '  make %-14s %s\n' "$$target" "$$words"; done

run: $(VENV)/.installed ## Start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/flask --app app serve

sign-in-link: $(VENV)/.installed ## Print a new one-time link to the pages (organization=org_… where there are several)
	@$(BIN)/flask --app app sign-in-link $(if $(organization),--organization $(organization))

demo: $(VENV)/.installed ## Watch Okta (idp=entra and others) provision an invented company, on a server of its own (keep=1 leaves it running)
	@exec $(BIN)/flask --app app demo $(if $(idp),--idp $(idp)) $(if $(way),--way $(way)) $(if $(keep),--keep)

test: $(VENV)/.installed-dev ## Run every test
	$(BIN)/pytest $(SIDE_BY_SIDE)

test-postgresql: $(VENV)/.installed-dev ## Run on PostgreSQL every test that uses a database
	$(BIN)/pytest $(SIDE_BY_SIDE) --database=postgresql

lint: $(VENV)/.installed-dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: ## Ask whether any requirement has a known vulnerability
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install --quiet pip-audit==2.10.1; }
	@rm -f $(AUDIT)/report; $(AUDIT)/bin/pip-audit --requirement requirements.txt --requirement requirements-dev.txt --no-deps --disable-pip \
		--progress-spinner off --format json --output $(AUDIT)/report 2> $(AUDIT)/log; found=$$?; \
		if grep -qs '"vulns"' $(AUDIT)/report; then tail -1 $(AUDIT)/log; [ $$found = 0 ] || { cat $(AUDIT)/report; exit 1; }; \
		else tail -1 $(AUDIT)/log; echo "Nothing was audited: the list of known vulnerabilities does not answer here."; [ -n "$$CI" ]; fi

bench: $(VENV)/.installed-dev ## Measure how fast it is (write=1 keeps the tables in docs/performance.md, full=1 takes 100,000 people as well)
	@$(BIN)/python -m bench $(if $(full),--full) $(if $(write),--write)

soak: $(VENV)/.installed-dev ## See for five minutes (minutes=…) whether it stays as it is under load
	@$(BIN)/python -m bench.soak $(if $(minutes),--minutes $(minutes))

screenshots: $(VENV)/.installed-dev ## Take the pictures in docs/images anew, in Chromium
	@$(BIN)/python -m tests.browser.screenshots

migration: $(VENV)/.installed-dev ## Write a migration for what changed in models.py: make migration message="…"
	$(BIN)/flask --app app db upgrade
	$(BIN)/flask --app app db migrate --message "$(message)"

# A stamp is younger than its requirements when they are installed, so the second run goes straight to work.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; PYTHON=… names one.")'
	@echo "Installing into $(VENV), which takes a minute the first time …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what the tests need …"
	@$(BIN)/pip install --quiet --requirement requirements-dev.txt
	@touch $@
