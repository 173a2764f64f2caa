#!/usr/bin/env bash
# Runs the tests with foreign clients against the program that the Rust tests built; arguments
# select tests by a part of their names. Expects scripts/setup.sh to have run.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

# The same build as `cargo test`, so that neither undoes the other's.
cargo test --workspace --locked --no-run --quiet
exec "$target/foreign/venv/bin/python" -u tests/foreign/run.py \
    --roomcast "$target/debug/roomcast" --work "$target/foreign" "$@"
