# chat-server: what there is to do with it. `make` alone lists it.

ARGS ?=

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: ## build for release and start the server; flags in ARGS: make run ARGS="--listen 127.0.0.1:0"
	@cargo run --release --locked --quiet -- $(ARGS)

test: ## run all tests; those that need a netcat that is not installed are reported as ignored
	cargo test --locked

lint: ## check formatting, lints and documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

demo: ## watch three people chat through netcat with a server on a free port
	@cargo build --release --locked --quiet --target-dir target
	@sh tests/demo.sh target/release/chat-server

install: ## install the program for this user, in ~/.cargo/bin
	cargo install --locked --path .

.PHONY: help run test lint demo install
