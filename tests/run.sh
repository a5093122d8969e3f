#!/usr/bin/env bash
# The whole suite: Rust tests on SQLite and on PostgreSQL, examples in the documentation, browser tests.
# Runs inside `tests/services.sh run`; `make test` does both. Ends with one line: N passed, N failed.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
closing=()

# part NAME COMMAND...: runs it, keeps its closing lines
part() {
    local name=$1
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log.part"
    if [ "${PIPESTATUS[0]}" != 0 ]; then
        code=1
        closing+=("$name: FAILED")
    fi
    while IFS= read -r line; do closing+=("$name: $line"); done < <(
        sed 's/\x1b\[[0-9;]*m//g' "$log.part" | grep -E '^ *(Summary \[|test result:|[0-9]+ (passed|failed|flaky|skipped|did not run)\b)'
    )
    cat "$log.part" >>"$log"
    rm -f "$log.part"
}

rust_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --locked
    else
        cargo test --workspace --locked --no-fail-fast --lib --bins --tests
    fi
}
on_sqlite() { env -u TEST_DATABASE_URL bash -c "$(declare -f rust_tests); rust_tests"; }
doc_examples() { cargo test --workspace --locked --doc; }
browser() { cargo build --locked --bin skychimp && npm --prefix e2e test; }

part "Rust on SQLite" on_sqlite
part "Rust on PostgreSQL" rust_tests
part "documentation" doc_examples
part "browser" browser

count() { # sums the numbers before WORD in the runners' closing lines
    printf '%s\n' "${closing[@]}" | grep -oE "[0-9]+ $1\b" | awk '{ sum += $1 } END { print sum + 0 }'
}
echo
echo "== closing lines"
printf '%s\n' "${closing[@]}"
echo "$(count passed) passed, $(count failed) failed"
exit $code
