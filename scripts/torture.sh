#!/usr/bin/env bash
# Everything that can fail does, under load; any broken promise fails (loadtest/README.md, torture).
# Usage: scripts/torture.sh [MINUTES] [SEED] [TOPOLOGY…]
set -uo pipefail
cd "$(dirname "$0")/.." || exit
minutes=${1:-0.4} seed=${2:-1} failed=0
topologies=("${@:3}")
((${#topologies[@]})) || topologies=(standalone sentinel cluster servers)

cargo build --quiet --workspace --bins --locked || exit
# One of them by TLS and with tokens, which end during the run.
door=(--tls --auth --token-life 6)
for topology in "${topologies[@]}"; do
    own=()
    [[ $topology == standalone ]] && own=("${door[@]}")
    "${CARGO_TARGET_DIR:-target}/debug/loadtest" torture --topology "$topology" \
        --minutes "$minutes" --seed "$seed" --rate 1000 "${own[@]}" || failed=1
done
exit "$failed"
