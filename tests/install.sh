#!/usr/bin/env bash
# Installs the Debian packages that the tests and the bench need, where they are missing: PostgreSQL, Postfix
# (with smtp-sink and smtp-source), Valkey or Redis, wrk, Chromium, OpenSSL, a C compiler, nss_wrapper (which gives one
# process its own names of hosts). Services that come with them are not started and not enabled: the tests run private
# instances of their own.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

say() { echo "install: $*" >&2; }

for tool in cargo node npm; do
    command -v "$tool" >/dev/null || { say "$tool is missing: install Rust (rustup.rs) and Node 20 or newer first"; exit 2; }
done

missing=()
command -v cc >/dev/null || missing+=(build-essential)
command -v openssl >/dev/null || missing+=(openssl)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
{ command -v postfix && command -v smtp-sink && command -v smtp-source; } >/dev/null || missing+=(postfix)
if ! command -v valkey-server >/dev/null && ! command -v redis-server >/dev/null; then
    # Debian has Valkey since 13, Redis before
    if apt-cache show valkey-server >/dev/null 2>&1; then missing+=(valkey-server); else missing+=(redis-server); fi
fi
command -v wrk >/dev/null || missing+=(wrk)
command -v oathtool >/dev/null || missing+=(oathtool)
command -v chromium >/dev/null || missing+=(chromium)
ls /usr/lib/*/libnss_wrapper.so >/dev/null 2>&1 || missing+=(libnss-wrapper)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

# an S3-compatible server for the tests of the blog's pictures, from PyPI, in a folder of its own
install_s3() {
    local venv
    venv=$(dirname "$0")/.venv
    [ -x "$venv/bin/moto_server" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q 'moto[s3,server]==5.*'; }
}
[ ${#missing[@]} -gt 0 ] || { install_s3; exit 0; }

if [ "$(id -u)" = 0 ]; then
    as_root() { "$@"; }
elif sudo -n true 2>/dev/null; then
    as_root() { sudo -n "$@"; }
else
    say "missing Debian packages: ${missing[*]}; install them, or run again as root or with a sudo that asks for no password"
    exit 2
fi
command -v apt-get >/dev/null || { say "no apt-get here; install by hand what gives: ${missing[*]}"; exit 2; }

say "installing ${missing[*]}"
# the packages' services must not start: a policy of ours forbids it while they are unpacked
policy=/usr/sbin/policy-rc.d
made_policy=''
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    made_policy=yes
fi
remove_policy() { [ -z "$made_policy" ] || as_root rm -f $policy; }
trap remove_policy EXIT

as_root apt-get update -q
echo 'postfix postfix/main_mailer_type select Local only' | as_root debconf-set-selections
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"

if [ -d /run/systemd/system ]; then
    for package in "${missing[@]}"; do
        case $package in postfix | postgresql | valkey-server | redis-server) as_root systemctl disable --now "$package" ;; esac
    done
fi
install_s3
