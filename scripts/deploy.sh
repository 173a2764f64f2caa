#!/usr/bin/env bash
# Checks everything under deploy/ and runs what docker-compose.yml describes, against the programs of
# the debug build. Expects scripts/setup.sh to have run.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

cargo build --quiet --workspace --bins --locked
export ROOMCAST=$target/debug/roomcast LOADTEST=$target/debug/loadtest
# Beside whatever else runs here, `make up` included.
export ROOMCAST_UP=$target/deploy ROOMCAST_SHIFT=20000
exec "$target/foreign/venv/bin/python" -Bu tests/deploy/run.py
