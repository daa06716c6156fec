# Everything works on a fresh machine as root: each target installs what it needs first (scripts/setup).

BUN := node_modules/.bin/bun
SOURCES := $(shell find src -name '*.ts' ! -name '*.test.ts' 2>/dev/null)

.DEFAULT_GOAL := build
.PHONY: build sdk install uninstall demo test test-unit test-root test-vm check bench clean setup setup-test

setup:
	@scripts/setup

setup-test:
	@scripts/setup test

include native/native.mk

# One executable that carries the shim, and the OCI runtime: the shim's program again, which starts onggi beside it. The CNI plugin
# is the executable under another name.
build/compose-schema.js: src/compose/load/compose-spec.json scripts/compose-schema.ts package-lock.json | setup
	$(BUN) scripts/compose-schema.ts

dist/onggi: $(SOURCES) build/onggi-shim build/compose-schema.js package-lock.json | setup
	@mkdir -p dist
	$(BUN) build src/main.ts --compile --no-compile-autoload-dotenv --no-compile-autoload-bunfig --format=esm --splitting --minify --sourcemap=none --bytecode --compile-jit-policy=20 --outfile dist/onggi
	@install -m 755 build/onggi-shim dist/onggi-runtime
	@ln -sf onggi dist/onggi-cni

build: setup
	@$(MAKE) --no-print-directory dist/onggi

# The npm packages, in dist/sdk.
sdk: build
	$(BUN) scripts/build-sdk.ts

# PREFIX, DESTDIR, CNIDIR and DOCKER are in scripts/install.
install: build
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' CNIDIR='$(CNIDIR)' DOCKER='$(DOCKER)' scripts/install install

uninstall:
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' CNIDIR='$(CNIDIR)' DOCKER='$(DOCKER)' scripts/install uninstall

demo: build
	@scripts/demo

# Types, format and lint, layer rules, unit tests: run it before every commit.
check: setup build/onggi-shim build/compose-schema.js
	node_modules/.bin/tsc -p .
	node_modules/.bin/biome check .
	scripts/check-layers
	$(BUN) test --timeout 60000 ./src

# Everything: the gate.
test: setup-test
	@$(MAKE) --no-print-directory build build/onggi-shim-asan build/fuzz-decode
	@scripts/test-all

# End-to-end, fault and escape tests, as root, on real images.
test-root: setup-test build build/onggi-shim-asan build/fuzz-decode
	scripts/test-root

test-vm: setup-test build
	scripts/test-vm

bench: setup-test
	@$(MAKE) --no-print-directory build
	$(BUN) bench/run.ts

clean:
	rm -rf build dist
