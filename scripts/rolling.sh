#!/usr/bin/env bash
# A rolling restart of three nodes behind a balancer at full size (tests/deploy/rolling.py). Expects
# scripts/setup.sh to have run. Usage: scripts/rolling.sh [nginx|haproxy] [CLIENTS] [RATE]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}

cargo build --quiet --release --bins --locked
export ROOMCAST=$target/release/roomcast LOADTEST=$target/release/loadtest
export ROOMCAST_UP=$target/rolling/up ROOMCAST_SHIFT=30000
mkdir -p "$ROOMCAST_UP"
exec "$target/foreign/venv/bin/python" -Bu tests/deploy/rolling.py "$@"
