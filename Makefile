# What a person types; continuous integration types the same.
#   make demo    install into .venv and show the whole pipeline on a rendered scene (writes demo.mp4)
#   make test    lint, types, import contracts and all tests
#   make test-fast   the tests that take less than half a second each, and no other check
#   make test-rigs   the tests that need a screen, a browser or a V4L2 camera; installs what they need (Debian, root)
#   make check   lint, types and import contracts only
#   make docs    the documentation as a site, in build/site; a dead link or a page that is missing from the menu fails
#   make bench   measure the table of docs/reference/benchmarks/pipeline.md (some minutes; nothing else should run)

PYTHON ?= python3
BIN := .venv/bin
# One worker more than cores: many tests wait for sockets and clocks. Tests of one file share a worker, and its fixtures.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.docs-installed

RIG_PACKAGES := g++ cmake pkg-config libzmq3-dev xvfb xdotool imagemagick x11-utils openbox wmctrl \
	chromium chromium-driver \
	python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
	gstreamer1.0-libav python3-dev libgirepository1.0-dev libcairo2-dev

.PHONY: demo test test-fast test-rigs check docs bench clean

demo: $(INSTALLED)
	$(BIN)/depthstream demo --output demo.mp4

test: check
	$(PYTEST) -m "not rig"

test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow and not rig"

test-rigs: $(INSTALLED)
	@test "$$(id -u)" = 0 && command -v apt-get >/dev/null || { echo "make test-rigs installs Debian packages: run it as root on Debian or Ubuntu"; exit 1; }
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(RIG_PACKAGES) >/dev/null
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $$($(GSTREAMER_PACKAGES))
	$(BIN)/python -m tests.rigs.vivid --prepare
	$(BIN)/python -m pytest -m rig

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS_INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The site is in build/site (with search: python3 -m http.server -d build/site)"

bench: $(INSTALLED)
	$(BIN)/python -m tools.bench.pipeline --write docs/reference/benchmarks/pipeline.md

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "depthstream needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		echo "This machine lacks libGL: taking OpenCV without its window functions (apt-get install libgl1 libglib2.0-0 brings them)"; \
		$(BIN)/python -m pip uninstall --quiet --yes opencv-python && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt opencv-python-headless; }
	@touch $@

# The packages of the extra "gstreamer" alone, as those of "docs" below.
GSTREAMER_PACKAGES = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["gstreamer"])'

# The packages of the extra "docs" alone: installing ".[docs]" would bring opencv-python back where libGL is missing.
DOCS_PACKAGES = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])'

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $$($(DOCS_PACKAGES))
	@touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist demo.mp4
