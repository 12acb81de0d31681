# make run    set up and serve on http://127.0.0.1:7860 (HOST=, PORT=, MODEL= to change)
# make test   set up and run every check
# make bench  figures of this machine, as ratios
# make gpu    what only a CUDA GPU can show, into gpu-report/ (MINUTES=9 ends this call, the next goes on); WHEELS=folder
#             installs from a folder, without an index, beside the machine's own torch; make wheels WHEELS=folder fills it
# make lint   style only
# make certificate  trial.pem and trial-root.pem, for trying Content Credentials (SIGNER= for another name)
# make pictures  the README's pictures and animation, from the real page
# make screenshots  every state of the page, wide and narrow, light and dark, into screenshots/

PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

export MODEL HOST PORT

.PHONY: run setup test bench gpu wheels lint browser pictures screenshots certificate
run: setup
	@$(BIN)/python app.py

setup: .venv/.ready
.venv/.ready: requirements.txt constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

# What tests need beside Python: Debian's chromium and exiftool where there is apt and the right to use it, Playwright's
# own browser elsewhere.
browser: .venv/.ready-dev
	@if command -v chromium >/dev/null && command -v exiftool >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium libimage-exiftool-perl >/dev/null; \
	else command -v exiftool >/dev/null || echo "exiftool is missing, with which the tests read pictures"; \
		command -v chromium >/dev/null || $(BIN)/playwright install chromium; fi

lint: .venv/.ready-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

# Two processes, since tests wait for servers and browsers; each file stays in one, with the fixtures of its module.
test: lint browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

pictures: browser
	$(BIN)/python -m tests.readme_pictures --example
	$(BIN)/python -m tests.readme_pictures

screenshots: browser
	$(BIN)/python -m tests.readme_pictures --screenshots

# Of an authority made for it, whose key is thrown away. OpenSSL 3.
SIGNER ?= trial
NEW_KEY := openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365
certificate:
	@umask 077 && $(NEW_KEY) -subj "/CN=Second Round trial root/O=Trial" -addext keyUsage=critical,keyCertSign \
		-keyout $(SIGNER)-root.key -out $(SIGNER)-root.pem 2>/dev/null
	@umask 077 && $(NEW_KEY) -subj "/CN=Second Round trial signer/O=Trial" -CA $(SIGNER)-root.pem -CAkey $(SIGNER)-root.key \
		-addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
		-addext extendedKeyUsage=emailProtection -keyout $(SIGNER).key -out $(SIGNER).crt 2>/dev/null
	@umask 077 && cat $(SIGNER).crt $(SIGNER)-root.pem $(SIGNER).key > $(SIGNER).pem
	@rm $(SIGNER).crt $(SIGNER).key $(SIGNER)-root.key

bench: setup
	$(BIN)/python -m pipeline_utils.bench

GPU_BIN := $(if $(WHEELS),.venv-gpu/bin,$(BIN))
GPU_NEEDS := accelerate|diffusers|hf-xet|httpcore2|httpx2|huggingface_hub|importlib_metadata|pillow|platformdirs|regex
GPU_NEEDS := $(GPU_NEEDS)|safetensors|tokenizers|transformers|truststore|zipp

gpu: $(if $(WHEELS),.venv-gpu/.ready,setup)
	$(GPU_BIN)/python -m pipeline_utils.bench gpu $(if $(MINUTES),--minutes $(MINUTES)) $(if $(PARTS),--parts $(PARTS))

.venv-gpu/.ready:
	$(PYTHON) -m venv --system-site-packages .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --no-index --no-deps $(WHEELS)/*.whl
	@touch $@

# Pure Python, or for Python 3.12 on Linux; torch and what comes with it is the GPU machine's own.
wheels: setup
	grep -E "^($(GPU_NEEDS))==" constraints.txt > .venv/wheels.txt
	$(BIN)/python -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --dest $(WHEELS) -r .venv/wheels.txt
