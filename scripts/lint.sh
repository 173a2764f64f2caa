#!/usr/bin/env bash
# Formatting, clippy, rustdoc and the shell scripts; a warning is an error. All run even if one
# fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

failed=()
check() {
    local name=$1
    shift
    "$@" || failed+=("$name")
}

color=never
[[ -t 1 ]] && color=auto
check formatting cargo fmt --all --check -- --color "$color"
check clippy cargo clippy --workspace --all-targets --locked --keep-going -- -D warnings
check rustdoc env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --keep-going
check "shellcheck (which \`make setup\` installs)" \
    "${CARGO_TARGET_DIR:-target}/foreign/venv/bin/shellcheck" scripts/*.sh deploy/compose/*.sh .ci/run

if ((${#failed[@]})); then
    echo "lint: failed: ${failed[*]}"
    exit 1
fi
