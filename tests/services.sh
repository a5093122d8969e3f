#!/usr/bin/env bash
# Starts private instances of PostgreSQL and other services, runs a command that uses them, and
# stops them.
#
#   tests/services.sh run [--durable] [--postgres-only] -- COMMAND [ARGUMENT...]
#
# Everything is in one temporary directory and listens on 127.0.0.1 on random ports. Services
# already running on the machine are not touched. The command gets these environment variables:
#
#   TEST_DATABASE_URL          postgres://postgres@127.0.0.1:PORT/postgres   (the suite creates a
#                              database per test)
#   TEST_POSTGRES_PID          PID of its main process, whose CPU time the bench measures
#   TEST_POSTGRES_RESTART      a program that stops it immediately and starts it again after the
#                              number of seconds given as argument
#   TEST_POSTFIX               127.0.0.1:PORT   plain SMTP, STARTTLS offered, no login
#   TEST_POSTFIX_SUBMISSION    127.0.0.1:PORT   STARTTLS and login required: user `skychimp`,
#                              password `correct horse`
#   TEST_POSTFIX_CA            CA certificate for both, PEM; the certificates' name is `localhost`
#   TEST_S3_URL                an S3-compatible store (moto) with a bucket, as in `media_url`
#   TEST_POSTFIX_MAILDIR       the directory with every accepted letter, one file each
#
# (Valkey and Redis are not started here: tests that need one start their own, which they may kill.)
#
# Postfix accepts every address, except that `refused@…` gets 550 5.1.1 and `later@…` gets 450
# 4.2.0.
#
# PostgreSQL refuses to run as root: it then runs as the user `postgres`. Postfix needs root:
# without it, `sudo` is used. `--durable` keeps PostgreSQL's defaults (fsync on), as the bench
# needs; tests need no durability.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8

die() { echo "services: $*" >&2; exit 2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

runas() { if [ "$(id -u)" = 0 ]; then echo "runuser -u postgres -- "; fi; }

# Picks a free port, below the range that the kernel uses for outgoing connections.
free_port() {
    local port
    while :; do
        port=$((10000 + RANDOM % 22000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# wait_for SECONDS WHAT COMMAND...: retries the command until it succeeds
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "$what did not come up"
        sleep 0.1
    done
}

# Whether an SMTP server answers on this port.
greets() { timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && head -c 4 <&3" 2>/dev/null | grep -q '^220 '; }

postgres_bin() {
    local folder
    folder=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    [ -n "$folder" ] || die "PostgreSQL is not installed; tests/install.sh installs it"
    echo "$folder"
}

# Hundreds of test databases take several GB in a million files, which are slow to delete from disk.
# Keep them in memory if there is enough.
postgres_folder() {
    local free shared
    free=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
    shared=$(df -k --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 { print int($1 / 1048576) }')
    if [ -z "$durable" ] && [ "$free" -ge 12 ] && [ "${shared:-0}" -ge 10 ]; then
        mkdir -m 755 "/dev/shm/${root##*/}"
        echo "/dev/shm/${root##*/}/postgres"
    else
        echo "$root/postgres"
    fi
}

start_postgres() {
    local bin port
    bin=$(postgres_bin)
    port=$(free_port)
    postgres_data=$(postgres_folder)
    mkdir "$postgres_data"
    [ "$(id -u)" != 0 ] || chown postgres "$postgres_data"
    (cd / && as_postgres "$bin/initdb" -D "$postgres_data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync) \
        >"$root/initdb.log" || { cat "$root/initdb.log" >&2; die "initdb failed"; }
    {
        echo "listen_addresses = '127.0.0.1'"
        echo "port = $port"
        echo "unix_socket_directories = '$postgres_data'"
        echo "max_connections = 400"
        if [ -z "$durable" ]; then
            echo "fsync = off"
            echo "synchronous_commit = off"
            echo "full_page_writes = off"
            echo "autovacuum = off"
        fi
    } | as_postgres tee -a "$postgres_data/postgresql.conf" >/dev/null
    (cd / && as_postgres "$bin/pg_ctl" -D "$postgres_data" -l "$postgres_data/log" -w -t 60 start) >/dev/null ||
        { cat "$postgres_data/log" >&2; die "PostgreSQL did not start"; }
    postgres_started=yes
    TEST_POSTGRES_PID=$(as_postgres head -n 1 "$postgres_data/postmaster.pid")
    cat >"$root/restart-postgres" <<RESTART
#!/bin/sh -e
cd /
$(runas)"$bin/pg_ctl" -D "$postgres_data" -m immediate -w stop >/dev/null
sleep "\$1"
$(runas)"$bin/pg_ctl" -D "$postgres_data" -l "$postgres_data/log" -w -t 60 start >/dev/null
RESTART
    chmod 755 "$root/restart-postgres"
    export TEST_POSTGRES_RESTART="$root/restart-postgres"
    export TEST_POSTGRES_PID TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres"
}

stop_postgres() {
    [ -n "${postgres_started:-}" ] || return 0
    (cd / && as_postgres "$(postgres_bin)/pg_ctl" -D "$postgres_data" -m immediate -w stop) >/dev/null || true
}

make_certificate() {
    local folder=$1
    mkdir "$folder"
    {
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Skychimp tests" \
            -keyout "$folder/ca.key" -out "$folder/ca.pem"
        openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout "$folder/server.key" -out "$folder/server.csr"
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$folder/extensions"
        openssl x509 -req -days 30 -in "$folder/server.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" \
            -CAcreateserial -extfile "$folder/extensions" -out "$folder/server.pem"
    } 2>"$folder/log" || { cat "$folder/log" >&2; die "no certificate"; }
}

start_postfix() {
    command -v postfix >/dev/null || die "Postfix is not installed; tests/install.sh installs it"
    as_root true || die "Postfix must be started as root: run as root, or with a sudo that asks for no password"
    postfix_config=$root/postfix
    local port submission uid gid
    port=$(free_port)
    submission=$(free_port)
    uid=$(id -u nobody)
    gid=$(id -g nobody)
    mkdir "$postfix_config" "$root/mail"
    make_certificate "$root/tls"
    as_root install -d -o nobody -g "$gid" -m 755 "$root/mail/all"
    as_root install -d -m 755 "$root/queue"
    as_root install -d -o postfix -m 755 "$root/postfix-data"
    # no real mail system can be reached from here: every address is delivered into one directory
    cat >"$postfix_config/main.cf" <<CONF
compatibility_level = 3.6
myhostname = localhost
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = $root/queue
data_directory = $root/postfix-data
maillog_file = $root/postfix.log
maillog_file_prefixes = $root
alias_maps =
alias_database =
biff = no
smtputf8_enable = yes
virtual_mailbox_domains = static:all
virtual_mailbox_base = $root/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:$uid
virtual_gid_maps = static:$gid
virtual_minimum_uid = 1
smtpd_delay_reject = yes
smtpd_forbid_unauth_pipelining = yes
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:$postfix_config/recipients, permit
smtpd_tls_security_level = may
smtpd_tls_cert_file = $root/tls/server.pem
smtpd_tls_key_file = $root/tls/server.key
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:$auth_port
CONF
    cat >"$postfix_config/recipients" <<'CONF'
/^refused@/  550 5.1.1 There is no such person here
/^later@/    450 4.2.0 Come back later
CONF
    cat >"$postfix_config/master.cf" <<CONF
127.0.0.1:$port       inet n - n - 200 smtpd
127.0.0.1:$submission inet n - n - 200 smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
CONF
    as_root chown -R root "$postfix_config"
    as_root postfix -c "$postfix_config" start >"$root/postfix.start" 2>&1 ||
        { cat "$root/postfix.start" "$root/postfix.log" >&2 2>/dev/null; die "Postfix did not start"; }
    postfix_started=yes
    wait_for 30 "Postfix" greets "$port"
    wait_for 30 "Postfix" greets "$submission"
    export TEST_POSTFIX="127.0.0.1:$port" TEST_POSTFIX_SUBMISSION="127.0.0.1:$submission"
    export TEST_POSTFIX_CA="$root/tls/ca.pem" TEST_POSTFIX_MAILDIR="$root/mail/all/new"
}

stop_postfix() {
    [ -n "${postfix_started:-}" ] || return 0
    as_root postfix -c "$postfix_config" stop >/dev/null 2>&1 || true
}

# Postfix asks a Dovecot server to verify logins. This one knows a single user.
start_logins() {
    node "$(dirname "$0")/logins.mjs" >"$root/logins.port" &
    logins=$!
    wait_for 30 "the login service" test -s "$root/logins.port"
    auth_port=$(cat "$root/logins.port")
}

# Starts an in-memory S3 server with one bucket.
start_s3() {
    local port venv
    venv=$(dirname "$0")/.venv
    [ -x "$venv/bin/moto_server" ] || die "moto is not installed; tests/install.sh installs it"
    port=$(free_port)
    "$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$root/s3.log" 2>&1 &
    s3=$!
    wait_for 60 "the S3 server" "$venv/bin/python" -c "import urllib.request as r
r.urlopen(r.Request('http://127.0.0.1:$port/pictures', method='PUT'), timeout=5)"
    export TEST_S3_URL="s3://key:secret@127.0.0.1:$port/pictures/blog?tls=none"
}

cleanup() {
    trap - EXIT INT TERM
    [ -z "${child:-}" ] || kill -TERM "$child" 2>/dev/null || true
    stop_postfix
    stop_postgres
    [ -z "${logins:-}" ] || kill "$logins" 2>/dev/null || true
    [ -z "${s3:-}" ] || kill "$s3" 2>/dev/null || true
    as_root rm -rf "$root" "/dev/shm/${root##*/}"
}

[ "${1:-}" = run ] || die "use: tests/services.sh run [--durable] [--postgres-only] -- COMMAND"
shift
durable='' postgres_only=''
while [ $# -gt 0 ]; do
    case $1 in
        --durable) durable=yes ;;
        --postgres-only) postgres_only=yes ;;
        --) shift; break ;;
        *) die "what is $1?" ;;
    esac
    shift
done
[ $# -gt 0 ] || die "no command given"

root=$(mktemp -d /tmp/skychimp.XXXXXX)
chmod 755 "$root"
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_postgres
if [ -z "$postgres_only" ]; then
    start_logins
    start_postfix
    start_s3
fi

"$@" &
child=$!
code=0
wait "$child" || code=$?
child=''
exit "$code"
