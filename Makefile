# Two commands: `make demo` hears it, `make test` proves it. Both install what is missing first and say so.

# rustup puts cargo there; a shell that was open before does not know.
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: help demo test setup setup-demo build clean

help:
	@echo "make demo    build a release and run the demonstration (ARGS=--once ends after it)"
	@echo "make test    format, lints, tidy and every test"
	@echo "make setup   install what building and testing need"
	@echo "make build   build a release: target/release/entracte"
	@echo "make clean   remove what was built"

demo: setup-demo
	cargo build --release --package entracte --package speech-espeak --package speech-flite
	cargo run --quiet --release --package entracte -- demo $(ARGS)

test: setup
	cargo xtask ci

setup:
	@sh xtask/setup.sh test

setup-demo:
	@sh xtask/setup.sh demo

build: setup-demo
	cargo build --release --package entracte --package speech-espeak --package speech-flite

clean:
	cargo clean
