#!/usr/bin/env bash
# Installs what is missing on a Debian machine that has Rust, Node and make:
#
#   tests/install.sh          everything for the tests and the bench: PostgreSQL, Postfix (with
#                             smtp-sink and smtp-source), Valkey or Redis, wrk, Chromium, Firefox, OpenSSL,
#                             a C compiler, nss_wrapper (gives a process its own host names), and
#                             an S3-compatible server from PyPI
#   tests/install.sh check    what `make check` needs: a C compiler, and the tools listed in
#                             tools/requirements.txt from PyPI
#   tests/install.sh mutants  what `make mutants` needs: a C compiler, nextest from PyPI, and
#                             cargo-mutants, which is compiled
#
# Names the Debian packages before installing them. Services they contain are neither started nor
# enabled: the tests run private instances. Python packages go into tests/.venv.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

say() { echo "install: $*" >&2; }
have() { command -v "$1" >/dev/null; }

what=${1:-tests}
case $what in tests | check | mutants) ;; *) say "usage: tests/install.sh [check | mutants]"; exit 2 ;; esac
for tool in cargo node npm; do
    have $tool || { say "$tool is missing: install Rust (rustup.rs) and Node 20 or newer first"; exit 2; }
done

missing=()
have cc || missing+=(build-essential)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ "$what" = tests ]; then
    have openssl || missing+=(openssl)
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
    { have postfix && have smtp-sink && have smtp-source; } || missing+=(postfix)
    if ! have valkey-server && ! have redis-server; then
        # Debian has Valkey since 13, before that Redis
        if apt-cache show valkey-server >/dev/null 2>&1; then missing+=(valkey-server); else missing+=(redis-server); fi
    fi
    have wrk || missing+=(wrk)
    have systemd-analyze || missing+=(systemd)
    have oathtool || missing+=(oathtool)
    have chromium || missing+=(chromium)
    have firefox-esr || missing+=(firefox-esr)
    ls /usr/lib/*/libnss_wrapper.so >/dev/null 2>&1 || missing+=(libnss-wrapper)
fi

# prevents the packages' services from starting during installation; removed later only if we made
# it
policy=/usr/sbin/policy-rc.d
made_policy=''
remove_policy() { [ -z "$made_policy" ] || as_root rm -f $policy; }
trap remove_policy EXIT

install_packages() {
    if [ "$(id -u)" = 0 ]; then
        as_root() { "$@"; }
    elif sudo -n true 2>/dev/null; then
        as_root() { sudo -n "$@"; }
    else
        say "missing Debian packages: $*; install them, or run again as root or with a sudo that asks for no password"
        exit 2
    fi
    have apt-get || { say "no apt-get here; install by hand what provides: $*"; exit 2; }

    say "installing these Debian packages (their services are not started): $*"
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        made_policy=yes
    fi
    as_root apt-get update -q
    echo 'postfix postfix/main_mailer_type select Local only' | as_root debconf-set-selections
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"

    [ -d /run/systemd/system ] || return 0
    for package in "$@"; do
        case $package in postfix | postgresql | valkey-server | redis-server) as_root systemctl disable --now "$package" ;; esac
    done
}

mutants_version=27.1.0

# from_pypi REQUIREMENTS: installs the packages, and again when the file changes
from_pypi() {
    local venv=tests/.venv
    local installed
    installed=$venv/${1//\//-}
    cmp -s "$1" "$installed" && return
    say "installing from PyPI into $venv: $(grep -v '^#' "$1" | tr '\n' ' ')"
    [ -x $venv/bin/pip ] || python3 -m venv $venv
    $venv/bin/python -m pip install -q --disable-pip-version-check -r "$1"
    cp "$1" "$installed"
}

[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
case $what in
    check) from_pypi tools/requirements.txt ;;
    mutants)
        from_pypi tests/mutants-requirements.txt
        if [ "$(tests/.venv/bin/cargo-mutants mutants --version 2>/dev/null)" != "cargo-mutants $mutants_version" ]; then
            say "compiling cargo-mutants $mutants_version into tests/.venv: some minutes, once"
            nice cargo install --quiet --locked --root tests/.venv "cargo-mutants@$mutants_version"
        fi
        ;;
    tests)
        from_pypi tests/requirements.txt
        say "everything that the tests need is here"
        ;;
esac
