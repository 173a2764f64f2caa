#!/usr/bin/env bash
# The TypeScript packages: their types, tests, sizes and packing; and whether the files in
# crates/gateway/web, which are part of the node, are what the sources build. Expects
# scripts/setup.sh to have run. `scripts/web.sh write` makes these files anew instead.
set -euo pipefail
cd "$(dirname "$0")/.."
held=$PWD/crates/gateway/web

# Builds all files into a folder.
build() {
    (cd sdk/typescript && node scripts/web.mjs "$1/client.js")
    (cd sdk/demo && npx --no-install vite build --outDir "$1" --logLevel warn)
}

if [[ ${1:-} == write ]]; then
    build "$held"
    exit
fi

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
build "$built"
if ! diff --recursive --brief "$held" "$built"; then
    echo "web: crates/gateway/web is not what sdk/ builds: run scripts/web.sh write" >&2
    exit 1
fi
for package in sdk/typescript sdk/demo; do
    echo "web: $package"
    # The first one's check runs its tests.
    npm run --silent --prefix "$package" check
done
npm run --silent --prefix sdk/demo test
