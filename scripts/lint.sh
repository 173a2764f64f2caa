#!/usr/bin/env bash
# Formatting, clippy, rustdoc and the shell scripts; a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh .ci/run
else
    echo "lint: shellcheck is not installed; the shell scripts were not checked"
fi
