# Two commands on a fresh machine: `make demo` and `make test`. Both need Python >= 3.10, make and the package registry.
PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed

.PHONY: demo test test-slow fuzz test-wheel lint bench bench-smoke clean

demo: $(INSTALLED)
	.venv/bin/imgmatch demo --out demo

test: $(INSTALLED)
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m pytest

# Scans on Ray are tested here: it is 330 MB with what it needs, too much for every test run.
test-slow: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[ray]"
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m pytest -m slow

# Ten thousand damaged photos, each decoded in a process of its own: nothing but a picture or a reason may come out.
fuzz: $(INSTALLED)
	$(PY) -m tests.fuzz_images --cases 10000 --seed 0

# The built wheel in an empty environment of its own: what a user gets, not the editable install.
test-wheel: $(INSTALLED)
	rm -rf build dist .venv-wheel
	$(PY) -m build --wheel --outdir dist
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install -q -c constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/imgmatch weights pull mobilenet-v2 && ../.venv-wheel/bin/imgmatch demo --out demo
	rm -rf .venv-wheel

# Every suite, then the README's table; what is up to date is not run again. `python -m benchmarks SUITE` runs one.
bench: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[bench]"
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m benchmarks

# Suites that take a minute on a handful of photos; what needs photos that are not there is skipped aloud.
bench-smoke: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[bench]"
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m benchmarks --smoke retrieval open_set copy marks mismatch rings

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .venv-wheel build dist demo *.egg-info
