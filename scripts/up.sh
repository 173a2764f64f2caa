#!/usr/bin/env bash
# scripts/up.py with the Python that scripts/setup.sh installed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${CARGO_TARGET_DIR:-$PWD/target}/foreign/venv/bin/python
[[ -x $python ]] || { echo "up: \`make setup\` installs what this needs" >&2; exit 1; }
exec "$python" scripts/up.py "$@"
