#!/usr/bin/env bash
# Makes the files that production.yml gives to nodes and balancers, those that are missing:
#   deploy/compose/secrets.sh FOLDER NAME      NAME: where browsers find the service, app.example.com
# The certificate for NAME is signed by the authority made here (node-ca.crt), which no browser knows: put
# your own pair in the place of tls.crt and tls.key. The nodes' pair may stay as it is: it is between
# them and the balancers only. To make a file anew, remove it and run this again.
set -euo pipefail
(($# == 2)) || { sed -n '3s/^# */usage: /p' "$0" >&2; exit 2; }
name=$2
umask 077
mkdir -p "$1"
cd "$1"
days=825

# A pair NAME.crt, NAME.key signed by the authority: pair FILE HOST
pair() {
    [[ -e $1.crt && -e $1.key ]] && return
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
    printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n' "$2" |
        openssl x509 -req -in "$1.csr" -CA node-ca.crt -CAkey node-ca.key -CAcreateserial -days $days -extfile /dev/stdin -out "$1.crt" 2>/dev/null
    rm "$1.csr"
    echo "secrets: $1.crt and $1.key for $2"
}

if [[ ! -e token-secret ]]; then
    head -c 32 /dev/urandom | base64 >token-secret
    echo "secrets: token-secret, which the backend signs tokens with"
fi
if [[ ! -e node-ca.key ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout node-ca.key -out node-ca.crt -days 3650 \
        -subj "/CN=Roomcast's nodes" -addext keyUsage=critical,keyCertSign 2>/dev/null
    echo "secrets: node-ca.crt, the authority of these"
fi
pair node roomcast
pair tls "$name"
# Containers read them as users of their own, and a secret from a file keeps its mode: the folder is
# what shuts others out (0700). The authority's key goes to no container.
chmod 444 token-secret ./*.crt node.key tls.key
