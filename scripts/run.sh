#!/usr/bin/env bash
# Builds the program and runs one node; Ctrl-C ends it. Usage: scripts/run.sh [LISTEN [FLAG …]]
# LISTEN is a port of this machine, or an address with its port; port 0 takes a free one. Flags go to
# `roomcast serve`. With ROOMCAST=PATH that program runs, and nothing is built.
set -euo pipefail
cd "$(dirname "$0")/.."
listen=${1:-127.0.0.1:8080}
shift || true

fail() {
    echo "run: $1" >&2
    (($# == 1)) || printf '%s\n' "${@:2}" >&2
    exit 1
}

# The address in its two parts.
[[ $listen =~ ^[0-9]+$ ]] && listen=127.0.0.1:$listen
listen=${listen/#localhost:/127.0.0.1:}
if [[ ! $listen =~ ^([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})$ ]]; then
    fail "LISTEN=$listen is no address with a port. Write one of these:" \
        "    make run LISTEN=8090                            on this machine, port 8090" \
        "    make run LISTEN=0.0.0.0:8080 ARGS=--insecure    for other machines too"
fi
host=${BASH_REMATCH[1]} port=$((10#${BASH_REMATCH[2]}))
((port <= 65535)) || fail "LISTEN=$listen: a port is at most 65535"

# A node beyond this machine refuses to start without authentication or --insecure: said before the
# build, not after. What a configuration file has is the node's own to judge.
if [[ $host != 127.* && $host != "[::1]" && ! " $* " =~ " --insecure "|" --config"|auth\. ]]; then
    fail "without authentication whoever reaches $listen reads and writes every room." \
        "With tokens (docs/quickstart.md, Authentication), write:" \
        "    make run LISTEN=$listen ARGS='--set auth.hs_secret_file=FILE'" \
        "If an open node is what you want:" \
        "    make run LISTEN=$listen ARGS=--insecure" \
        "For this machine alone:" \
        "    make run LISTEN=$port"
fi

# Where this machine reaches the node.
near=${host//[\[\]]/}
case $near in
    0.0.0.0) near=127.0.0.1 ;;
    ::) near=::1 ;;
esac

# Whether something accepts connections there.
is_taken() {
    (exec 3<>"/dev/tcp/$near/$port") 2>/dev/null
}

if ((port == 0)); then
    # Below the ports that the kernel gives to clients.
    while port=$((20000 + RANDOM % 12000)) && is_taken; do :; done
fi
listen=$host:$port

refuse_taken() {
    if is_taken; then
        fail "something listens on $near:$port already. End it, or write another port:" \
            "    make run LISTEN=$((port < 65535 ? port + 1 : port - 1))" \
            "    make run LISTEN=0                               a free one"
    fi
}

# The status that `/` has there: 404 where the demo is off.
status() (
    exec 3<>"/dev/tcp/$near/$port" || exit
    printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    read -r -t 2 _ status _ <&3 && echo "$status"
)

# Waits for the node, as long as the process that will be the node is there.
announce() {
    local at=$near
    [[ $at == *:* ]] && at="[$at]"
    local found
    while kill -0 $$ 2>/dev/null; do
        found=$(status 2>/dev/null || true)
        if [[ $found == 200 || $found == 404 ]]; then
            if [[ $found == 200 ]]; then
                echo "run: open http://$at:$port/ (Ctrl-C ends the node)"
            else
                echo "run: http://$at:$port/ is off (http.demo); Ctrl-C ends the node"
            fi
            echo "run: or, in another terminal: $program tail chat --url ws://$at:$port/ws"
            return
        fi
        sleep 0.1
    done
}

refuse_taken
program=${ROOMCAST:-${CARGO_TARGET_DIR:-target}/quick/roomcast}
if [[ -z ${ROOMCAST:-} ]]; then
    if [[ ! -e $program ]]; then
        echo "run: the first build takes some three and a half minutes on two cores, less on more"
    fi
    cargo build --profile quick --locked --bin roomcast
    refuse_taken
fi
# Of no parent that would have to wait for it.
(announce &)
exec "$program" serve --listen "$listen" "$@"
