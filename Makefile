# chat-server: what there is to do with it. `make` alone lists it.

ARGS ?=

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: ## start the server; ARGS="--listen 127.0.0.1:0" has flags
	@cargo run --release --locked -- $(ARGS)

test: ## run all tests; what they lack here is ignored, and said
	@# Most tests wait for something most of the time, so more of them run at once than there are cores.
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-8} cargo test --locked --package chat-server --package chat-steps

test-release: ## run the tests of exhaustion in a release build
	cargo test --locked --release --test exhaustion

docs-check: ## hold what the documents say of the code against the code
	cargo build --locked
	cargo test --locked --package chat-docs-check

lint: ## check formatting, lints and documentation
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@# rustfmt leaves comments alone, and they keep to its width all the same. A row of a table cannot be broken.
	@if LC_ALL=C.UTF-8 grep -rnE --include='*.rs' '^.{111}' src tests | grep -E '^[^:]+:[0-9]+: *//[/!]? [^|]'; \
	then echo "These comments are wider than 110 columns."; exit 1; fi

msrv: ## build with the oldest Rust allowed, where there is one
	@version=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	toolchain=$$(rustup toolchain list 2>/dev/null | grep -om1 "^$$version[-.][^ ]*"); \
	if [ -n "$$toolchain" ]; then cargo "+$$toolchain" check --locked --workspace --all-targets; \
	else echo "not run: Rust $$version is not installed"; fi

doc: ## open the tour of the code in a browser
	cargo doc --locked --no-deps --document-private-items --open

bench: ## measure the server beside others, in some minutes
	@cargo build --release --locked --quiet --package chat-server --package chat-bench --target-dir target
	@target/release/chat-bench $(ARGS)

bench-smoke: ## check that the benchmark runs, and its tests
	@cargo build --release --locked --quiet --package chat-server --package chat-bench --target-dir target
	@target/release/chat-bench smoke
	cargo test --release --locked --quiet --package chat-bench --target-dir target

promises: ## check servers; ARGS="--connect HOST:PORT" has yours
	@cargo build --release --locked --workspace --bins --target-dir target
	@target/release/chat-promises $(ARGS)

test-promises: ## show that each of those checks finds its fault
	cargo test --locked --package chat-promises

fuzz: ## feed random bytes to each reader for FUZZ_SECONDS (60)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --locked --release --lib fuzz -- --ignored --nocapture

siege: ## attack it from many addresses; ARGS=--help has more
	cargo build --release --locked --package chat-server --package chat-bench
	$${CARGO_TARGET_DIR:-target}/release/chat-bench siege $(ARGS)

siege-smoke: ## check in seconds that no attack loses anyone who keeps up
	cargo build --release --locked --package chat-server --package chat-bench
	$${CARGO_TARGET_DIR:-target}/release/chat-bench siege smoke

soak: ## let many people chat at random for SOAK_SECONDS (60)
	SOAK_SECONDS=$${SOAK_SECONDS:-60} cargo test --locked --release --test chance soak -- --nocapture

size: ## count the lines of src without its guide and tests
	@find src -name '*.rs' ! -name tests.rs ! -path 'src/guide/*' | xargs awk 'FNR == 1 { t = 0 } /^\#\[cfg\(test\)\]/ { t = 1 } !t && NF && $$1 !~ /^\/\// { n++ } END { print n }'

demo: ## watch three people chat through netcat
	@# As cargo's runner the script is told where cargo has put the program.
	@cargo run --release --locked --config 'target."cfg(all())".runner = ["sh", "tests/demo.sh"]'

lesson: ## play a step of the lesson in four panes; STEP=2
	@sh tests/lesson.sh "$(STEP)" $(ARGS)

install: ## install the program for this user, in ~/.cargo/bin
	cargo install --locked --path .

.PHONY: help run test test-release test-promises docs-check lint msrv doc bench bench-smoke fuzz siege siege-smoke promises soak size demo lesson install
