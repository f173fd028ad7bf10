# Two commands do everything on a fresh machine: `make run` and `make test`.
# See README.md; `make help` lists the targets.

CARGO ?= cargo
BIN := target/release/ottla

.PHONY: help run build test rust-test integration compose lint check bench soak image clean

help:
	@echo 'make run          build, and serve on port 9092 with the data in ./data'
	@echo 'make test         every test: Rust, then the stock clients (installs what they need)'
	@echo 'make check        what CI runs: format, clippy, then every test'
	@echo 'make rust-test    only the Rust tests (no Java, no network)'
	@echo 'make integration  only the stock clients'
	@echo 'make compose      only the container, with docker-compose (starts a Docker engine where none answers)'
	@echo 'make bench        the figures, beside the real Kafka in the same run'
	@echo 'make soak         an hour of mixed load: nothing lost, nothing that grows (MINUTES=10 for less)'
	@echo 'make image        the container image, from scratch'

run: build
	$(BIN) serve

build:
	$(CARGO) build --release --locked

test: rust-test integration compose

rust-test:
	$(CARGO) test --workspace --locked

integration: build
	integration/run

compose:
	integration/compose/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

check: lint test

bench: build
	integration/bench

soak: build
	integration/soak --minutes $(or $(MINUTES),60)

image:
	docker/build

clean:
	$(CARGO) clean
