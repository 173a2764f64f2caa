#!/usr/bin/env bash
# Builds the program and runs one node on the address given; Ctrl-C ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
listen=${1:-127.0.0.1:8080}

cargo build --release --locked --bin roomcast
echo "Roomcast's page: http://$listen/ (Ctrl-C ends the node)"
exec cargo run --release --locked --quiet --bin roomcast -- serve --listen "$listen"
