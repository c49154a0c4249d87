.DEFAULT_GOAL := help
RUN := uv run --group dev

help: ## print this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

test: ## run the tests
	$(RUN) pytest

soak: ## run what takes long: every provider, kill at every moment, properties with ten times as many values
	HYPOTHESIS_PROFILE=soak $(RUN) pytest -m "soak or hypothesis" --timeout 1800

lint: ## check style, layout of the layers, types and pins
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) lint-imports --no-cache
	$(RUN) pyright
	$(RUN) python tools/check_lock.py

docs: ## check that the generated pages are up to date
	$(RUN) python tools/gen_llm_params.py --check
	$(RUN) python tools/gen_providers.py --check
	$(RUN) python tools/gen_parameters.py --check
	$(RUN) python tools/gen_docs.py --check

gen: ## write the parameter table and the generated pages
	$(RUN) python tools/gen_llm_params.py
	$(RUN) python tools/gen_providers.py
	$(RUN) python tools/gen_parameters.py
	$(RUN) python tools/gen_direct.py
	$(RUN) python tools/gen_docs.py

fix: ## format, and correct what can be corrected
	$(RUN) ruff check --fix
	$(RUN) ruff format

check: lint docs test ## all of it

# What `uv run` installs: files whose hashes stand in requirements.lock.
uv.lock: pyproject.toml requirements.lock tools/pin.py
	uv run tools/pin.py

test lint docs gen fix size fuzz audit site release-check bench peers: uv.lock

size: ## count code lines, and show what is long or imports in a circle
	$(RUN) python tools/size.py

fuzz: ## look for inputs that crash, a minute for each part
	$(RUN) --group fuzz python -m fuzz --all --seconds 60

audit: ## ask for known vulnerabilities of the pinned dependencies; 3 means that the service knew nothing
	$(RUN) --isolated --only-group audit python tools/audit.py

site: ## build the pages of docs/ as a site in site/
	$(RUN) --isolated --only-group docs zensical build --clean --strict
	$(RUN) python tools/check_site.py site

release-check: ## build, install in fresh environments, try the editors (some minutes)
	RUNLLM_RELEASE_TESTS=1 $(RUN) pytest tests/release

bench: ## measure start-up, overhead, extraction, local schemas, statistics, composition, predictions, hosted calls, batches
	for f in startup run_overhead litellm_overhead guard extraction token_estimate local_schemas blocks stats composition exectime direct batch serve mcp; do $(RUN) python benchmarks/$$f.py || exit 1; done

peers: ## measure runllm beside other tools, and put the tables into docs/performance.md
	$(RUN) python benchmarks/peers/run.py --write

lock: ## pin what pyproject.toml asks for, and raise nothing
	uv run tools/raise_pins.py --none

raise: ## raise the pins, run `make check` on them, and keep those that it holds with
	uv run tools/raise_pins.py

.PHONY: help size test soak lint docs gen fix check fuzz audit site release-check bench peers lock raise
