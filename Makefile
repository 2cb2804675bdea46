# chat-server: what there is to do with it. `make` alone lists it.

ARGS ?=

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: ## build for release and start the server; flags in ARGS: make run ARGS="--listen 127.0.0.1:0"
	@cargo run --release --locked --quiet -- $(ARGS)

test: ## run all tests; those that need a netcat that is not installed are reported as ignored
	@# Most tests wait for something most of the time, so more of them run at once than there are cores.
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-8} cargo test --locked

test-release: ## run the tests of exhaustion in a release build, where the optimiser decides what is asked of the system
	cargo test --locked --release --test exhaustion

docs-check: ## hold what the documents say of the code against the code
	cargo build --locked
	cargo test --locked --package chat-docs-check

lint: ## check formatting, lints and documentation
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

doc: ## open the tour of the code in a browser
	cargo doc --locked --no-deps --document-private-items --open

bench: ## measure the server beside others, in a few minutes; one load by hand: make bench ARGS="one --help"
	@cargo build --release --locked --quiet --package chat-server --package chat-bench --target-dir target
	@target/release/chat-bench $(ARGS)

bench-smoke: ## check in seconds that all of the benchmark runs and loses nothing
	@cargo build --release --locked --quiet --package chat-server --package chat-bench --target-dir target
	@target/release/chat-bench smoke

siege: ## attack the server and others as one machine or eight would, in some minutes; a part: make siege ARGS="--attack c --peer ours"
	@cargo build --release --locked --quiet --package chat-server --package chat-bench --target-dir target
	@target/release/chat-bench siege $(ARGS)

siege-smoke: ## check in half a minute that no attack loses anybody who reads, or leaves anything behind
	@cargo build --release --locked --quiet --package chat-server --package chat-bench --target-dir target
	@target/release/chat-bench siege smoke

fuzz: ## throw random input at the reader, names, commands and the whole server for FUZZ_SECONDS (60)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --locked --release --lib fuzz -- --ignored --nocapture

soak: ## let many people chat at random for SOAK_SECONDS (60), and check every line that each of them saw
	SOAK_SECONDS=$${SOAK_SECONDS:-60} cargo test --locked --release --test chance soak -- --nocapture

size: ## count the lines of src without its guide, tests, comments and blanks
	@find src -name '*.rs' ! -name tests.rs ! -path 'src/guide/*' | xargs awk 'FNR == 1 { t = 0 } /^\#\[cfg\(test\)\]/ { t = 1 } !t && NF && $$1 !~ /^\/\// { n++ } END { print n }'

demo: ## watch three people chat through netcat with a server on a free port
	@cargo build --release --locked --quiet --target-dir target
	@sh tests/demo.sh target/release/chat-server

install: ## install the program for this user, in ~/.cargo/bin
	cargo install --locked --path .

.PHONY: help run test test-release docs-check lint doc bench bench-smoke siege siege-smoke fuzz soak size demo install
