#!/usr/bin/env bash
# Everything that must hold before a change is merged. All steps run even if one fails; the summary
# at the end names those that did. Whatever the tests start must have ended when they have.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

mark="TEST_RUN_OF_ROOMCAST=$$.$RANDOM"
failed=()
unchecked=()

# Runs one step under its name. Without a terminal a hanging step is ended, with all it started.
step() {
    local name=$1 minutes=$2 began=$SECONDS
    shift 2
    local limit=()
    [[ -t 1 ]] || limit=(timeout --kill-after=30s "${minutes}m")
    echo "== $name"
    if "${limit[@]}" env "$mark" "$@"; then
        echo "== $name: ok ($((SECONDS - began)) s)"
    else
        echo "== $name: FAILED with $? ($((SECONDS - began)) s)"
        failed+=("$name")
    fi
}

# Processes started by a step, known by the mark in their environment.
marked() {
    local environment
    for environment in /proc/[0-9]*/environ; do
        if grep -qzxF "$mark" "$environment" 2>/dev/null; then
            local folder=${environment%/environ}
            echo "${folder#/proc/} $(tr '\0' ' ' 2>/dev/null <"$folder/cmdline")"
        fi
    done
}

# Nothing that the tests started runs on; what a test has just told to end has ten seconds.
nothing_left() {
    local left end=$((SECONDS + 10))
    while left=$(marked) && [[ -n $left ]]; do
        if ((SECONDS >= end)); then
            echo "== still running, ended now:" && echo "$left"
            # They may hold this script's output open, and its reader waiting.
            awk '{ print $1 }' <<<"$left" | xargs --no-run-if-empty kill -KILL
            return 1
        fi
        sleep 0.2
    done
}

scripts/setup.sh || exit
step "lint" 30 scripts/lint.sh
step "TypeScript" 10 scripts/web.sh
step "Rust tests" 45 cargo test --workspace --locked --no-fail-fast
step "foreign clients" 15 scripts/foreign.sh
step "deployment" 10 scripts/deploy.sh
step "torture" 15 scripts/torture.sh
if scripts/deny.sh --version >/dev/null 2>&1; then
    step "dependencies" 5 scripts/deny.sh
else
    unchecked+=("dependencies: cargo-deny is not installed (\`cargo install --locked cargo-deny\`)")
fi
nothing_left || failed+=("leftover processes")

if ((${#unchecked[@]})); then
    printf '== NOT CHECKED: %s\n' "${unchecked[@]}"
fi
if ((${#failed[@]})); then
    printf '== failed: %s\n' "${failed[@]}"
    exit 1
fi
echo "== all passed in $SECONDS s"
