#!/usr/bin/env bash
# Runs the whole suite: Rust tests on SQLite and PostgreSQL, checks of their query plans, examples
# in the documentation, browser tests. Runs inside `tests/services.sh run`; `make test` does both.
# The last line is: N passed, N failed.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
statements=$(mktemp -d) # statements executed by the suites, for the check of their query plans
trap 'rm -rf "$log" "$statements"' EXIT
code=0
closing=()

# part NAME COMMAND...: runs the command and keeps its summary lines
part() {
    local name=$1 began=$SECONDS
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
    closing+=("$name: $((SECONDS - began)) s")
    cat "$log.part" >>"$log"
    rm -f "$log.part"
}

on_sqlite() { (unset TEST_DATABASE_URL && "$@"); }
rust_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        COLLECT_STATEMENTS=$statements cargo nextest run --workspace --locked
    else
        COLLECT_STATEMENTS=$statements cargo test --workspace --locked --no-fail-fast --lib --bins --tests
    fi
}
plans() { EXPLAIN_STATEMENTS=$statements cargo test --workspace --locked --test plans; }
doc_examples() { cargo test --workspace --locked --doc; }
browser() { cargo build --locked --bin skychimp && npm --prefix e2e test; }

part "Rust on SQLite" on_sqlite rust_tests
part "plans on SQLite" on_sqlite plans
part "Rust on PostgreSQL" rust_tests
part "plans on PostgreSQL" plans
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
