#!/usr/bin/env bash
# Runs the Autobahn test suite against `roomcast echo`; arguments select cases (6.4.*). The suite
# needs CPython 2.7 with pip: the program in PYTHON2, or python2.7. Where there is none, it says so
# and ends with 3. The suite is installed into target/autobahn; REGENERATE=1 writes the report.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
place=$target/autobahn
site=$place/site

python=${PYTHON2:-python2.7}
if ! "$python" -c 'import sys, pip; sys.exit(sys.version_info[:2] != (2, 7))' 2>/dev/null; then
    echo "autobahn: no CPython 2.7 with pip here ($python): name one in PYTHON2" >&2
    exit 3
fi
if [[ ! -e $site/installed ]]; then
    mkdir -p "$site"
    "$python" -m pip install --quiet --disable-pip-version-check --target "$site" autobahntestsuite==0.8.2
    # The package's own distribution leaves it out.
    touch "$site/zope/__init__.py" "$site/installed"
fi

cargo build --release --locked --quiet --bin roomcast
exec python3 -u tests/autobahn/run.py --roomcast "$target/release/roomcast" --python "$python" \
    --site "$site" --work "$place" "$@"
