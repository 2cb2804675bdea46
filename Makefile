# chat-server: what there is to do with it. `make` alone lists it.

ARGS ?=

help: ## show these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: ## build for release and start the server; flags in ARGS: make run ARGS="--listen 127.0.0.1:0"
	@cargo build --release --locked --quiet
	@exec target/release/chat-server $(ARGS)

test: ## run all tests; those that need a netcat that is not installed are reported as ignored
	cargo test --locked

lint: ## check formatting, lints and documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

demo: ## watch three people chat through netcat with a server on a free port
	@cargo build --release --locked --quiet
	@sh tests/demo.sh target/release/chat-server

install: ## install the program for this user, in ~/.cargo/bin
	cargo install --locked --path .

.PHONY: help run test lint demo install
