# Everything a fresh machine needs, in two commands: `make demo` for the live page, `make test` for the tests.
# Needed beforehand: rustup with stable Rust, and Node with npm. Whatever else is missing is installed, with a line that says
# so and how long it takes on two cores.

TRUNK := 0.21.14
BINARYEN := 132.0.0
WASM_BINDGEN := $(shell sed -n '/^name = "wasm-bindgen"$$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(abspath $(TARGET))/tools
WEB := --target wasm32-unknown-unknown --no-default-features --features
AGREEMENT := CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=tests/browser/run cargo test --profile web $(WEB) worker --test agreement
ADDRESS := 127.0.0.1
PORT := 8080

# Tools run for seconds and are compiled once: with trunk's own settings (fat LTO) that once took ten minutes. The second OPT_LEVEL of
# a line counts: wasm-bindgen reads forty megabytes, for which it takes half a minute without any optimisation.
QUICKLY := CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0

export PATH := $(TOOLS)/node_modules/.bin:$(HOME)/.cargo/bin:$(PATH)
export CARGO_TERM_COLOR ?= never

# Another run of apt may hold its lock, and a mirror may fail once.
APT := apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3

KIT := $(TARGET)/gpu-kit
NOT_TESTED := $(TARGET)/tmp/not-tested.txt

.PHONY: demo programs bundled page npm notebook record test compiled driven lint native browser mpi bench gpu gpu-kit fuzz deny wasm bundler tools browser-tools help

help:
	@echo "make demo    build the page and serve it at http://$(ADDRESS):$(PORT)/"
	@echo "make page    build the page into dist/, for any static host (PUBLIC_URL=/sub/folder/ to say where)"
	@echo "make npm     the element <duia-live> as a package for npm, in $(TARGET)/npm (docs/embedding.md); nothing is published"
	@echo "make notebook  the same as a widget for Jupyter, in $(TARGET)/notebook"
	@echo "make record  the recorded run that the page shows until its own has begun (a minute; needed when a model's figures change)"
	@echo "make test    everything that is tested, in a browser too"
	@echo "make mpi     several processes that train together, on Debian's Open MPI (not part of make test)"
	@echo "make fuzz    random bytes against everything that reads a file or a link, a minute each (SECONDS=1800 for more)"
	@echo "make deny    licences and advisories of the dependencies"
	@echo "make bench   the cost of a step, and the sizes of both programs"
	@echo "make gpu     how fast this machine trains, on its GPU where it has one, beside PyTorch (MINUTES=8)"
	@echo "make gpu-kit the same for another machine: a folder to copy there, which builds nothing and needs no network"

demo:
	@echo "Building the page (twelve minutes the first time on two cores, then seconds), to be served at http://$(ADDRESS):$(PORT)/; Ctrl-C ends it …"
	@# Side by side: neither of them alone keeps two cores busy.
	@$(MAKE) --no-print-directory -j2 bundler programs
	trunk serve --address $(ADDRESS) --port $(PORT)

# As trunk compiles them, ahead of it.
programs: wasm
	cargo build --profile demo $(WEB) page --bin page
	cargo build --profile demo $(WEB) worker --bin worker
	cargo build --profile demo $(WEB) table --bin table

bundled: tools
	trunk build --release --cargo-profile web $(if $(PUBLIC_URL),--public-url $(PUBLIC_URL))

page: bundled
	@echo "Packing dist/ for hosts that send packed files (a minute) …"
	@node web/pack.mjs dist

npm: bundled
	node web/element/assemble.mjs npm dist $(TARGET)/npm
	@echo "$(TARGET)/npm holds the package. To see it: python3 -m http.server --bind 127.0.0.1 --directory $(TARGET)/npm, and then http://127.0.0.1:8000/example.html"

notebook: bundled
	node web/element/assemble.mjs notebook dist $(TARGET)/notebook
	@echo "$(TARGET)/notebook holds the package: pip install ./$(TARGET)/notebook, and then open its live.ipynb in Jupyter or VS Code."

record:
	cargo run --release --bin duia -- record

# The page is built beside the native tests: a link, a program's last crate or a test of many keeps one of two cores busy. The tests in
# browsers come after both and alone, for they wait no longer than a person would.
test: lint
	@$(MAKE) --no-print-directory -j2 native compiled
	@$(MAKE) --no-print-directory driven
	@# What this machine could not test or passed only at the second attempt, where there is any.
	@test ! -s $(NOT_TESTED) || sort -u $(NOT_TESTED)

compiled: page browser-tools
	$(AGREEMENT) --no-run

lint: tools
	cargo fmt --check
	@# A macro declares these modules, so cargo fmt does not see them.
	rustfmt --edition 2024 --check src/model/components/*.rs
	cargo clippy --release --all-targets -- -D warnings
	cargo clippy --release --no-default-features --features parquet --lib -- -D warnings
	cargo clippy --profile web $(WEB) worker --bin worker -- -D warnings
	cargo clippy --profile web $(WEB) page --bin page -- -D warnings
	cargo clippy --profile web $(WEB) table --bin table -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --lib

native:
	@rm -f $(NOT_TESTED)
	cargo test --release
	cargo test --release --no-default-features --features parquet --lib data::parquet

browser: compiled
	@$(MAKE) --no-print-directory driven

driven:
	$(AGREEMENT)
	cd tests/page && npm install --no-audit --no-fund --silent && npm test

mpi:
	@command -v mpirun >/dev/null && command -v mpicc >/dev/null && command -v clang >/dev/null || { \
	  echo "Installing Debian's openmpi-bin, libopenmpi-dev, clang and libclang-dev (two minutes) …"; \
	  $(APT) update && $(APT) install -y --no-install-recommends openmpi-bin libopenmpi-dev clang libclang-dev; }
	cargo clippy --release --features mpi --bins --test mpi -- -D warnings
	cargo test --release --features mpi --test mpi

bench: page browser-tools
	cargo bench --bench step
	node benches/sizes.mjs
	cd tests/page && npm install --no-audit --no-fund --silent && npm run --silent bench

# CUDA's driver and compiler are found at run time, so neither is needed to build. The version is that of the driver's functions that
# may be called.
gpu-kit:
	CUDARC_CUDA_VERSION=$${CUDARC_CUDA_VERSION:-13000} cargo build --release --features cuda --bin duia
	mkdir -p $(KIT)
	strip -o $(KIT)/duia $(TARGET)/release/duia
	gzip -9 -f $(KIT)/duia
	cp benches/gpu_peer.py $(KIT)/
	cp benches/gpu.sh $(KIT)/run.sh
	@du -h $(KIT)/duia.gz
	@echo "Copy $(KIT) to the machine with the GPU and run ./run.sh there: it leaves gpu-results/table.md."

gpu: gpu-kit
	$(KIT)/run.sh --minutes $(or $(MINUTES),8)

fuzz:
	fuzz/run $(or $(SECONDS),60)

deny:
	@cargo deny --version >/dev/null 2>&1 || { \
	  echo "Compiling cargo-deny, which checks licences and advisories (a few minutes) …"; $(QUICKLY) cargo install cargo-deny --locked; }
	cargo deny check

wasm:
	@rustup target list --installed | grep -qx wasm32-unknown-unknown || { \
	  echo "Downloading Rust's wasm32-unknown-unknown target (half a minute) …"; rustup target add wasm32-unknown-unknown; }

# What puts a page together.
bundler: wasm
	@# Neither TLS nor a look for newer versions: what it would download is there.
	@trunk --version 2>/dev/null | grep -qx "trunk $(TRUNK)" || { \
	  echo "Compiling trunk $(TRUNK), which builds and serves the page (three minutes) …"; \
	  $(QUICKLY) cargo install trunk --version $(TRUNK) --locked --no-default-features; }
	@# Not --locked: the lock file of this version names a crate that the registry no longer serves.
	@wasm-bindgen --version 2>/dev/null | grep -qx "wasm-bindgen $(WASM_BINDGEN)" || { \
	  echo "Compiling wasm-bindgen $(WASM_BINDGEN), the version of Cargo.lock (one minute) …"; \
	  $(QUICKLY) CARGO_PROFILE_RELEASE_OPT_LEVEL=1 cargo install wasm-bindgen-cli --version $(WASM_BINDGEN); }

# And makes it small.
tools: bundler
	@test -x $(TOOLS)/node_modules/.bin/wasm-opt || { \
	  echo "Downloading wasm-opt (binaryen $(BINARYEN), a minute) into $(TOOLS) …"; \
	  mkdir -p $(TOOLS); npm install --silent --no-audit --no-fund --prefix $(TOOLS) binaryen@$(BINARYEN); }

browser-tools:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null && command -v firefox-esr >/dev/null \
	  && command -v WebKitWebDriver >/dev/null && command -v xvfb-run >/dev/null || { \
	  echo "Installing Debian's chromium, chromium-driver, firefox-esr, webkit2gtk-driver and xvfb (two minutes) …"; \
	  $(APT) update && $(APT) install -y chromium chromium-driver firefox-esr webkit2gtk-driver xvfb; }
