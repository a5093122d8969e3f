#!/usr/bin/env bash
# Runs the whole suite: Rust tests on SQLite and PostgreSQL, checks of their query plans, examples
# in the documentation, browser tests. Runs inside `tests/services.sh run`; `make test` does both.
# The last line is: N passed, N failed.
set -uo pipefail
cd "$(dirname "$0")/.."

export TESTS_REQUIRE_ALL=1 # a test without its peer fails

log=$(mktemp)
statements=$(mktemp -d) # statements executed by the suites, for the check of their query plans
trap 'rm -rf "$log" "$statements"' EXIT
code=0
closing=()

# the name of a test that failed: of nextest, of the browser tests
failed_test='^ *(FAIL|TIMEOUT|SIG[A-Z]+) \[|^ +[0-9]+\) \['

# part NAME COMMAND...: runs it, keeps its closing lines and its seconds
part() {
    local name=$1 began=$SECONDS seconds
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    if [ "${PIPESTATUS[0]}" != 0 ]; then
        code=1
        closing+=("$name: FAILED")
    fi
    seconds=$((SECONDS - began))
    while IFS= read -r line; do closing+=("$name: $line"); done < <(
        sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E "^ *(Summary \[|test result:|[0-9]+ (passed|failed|flaky|skipped|did not run)\b)|$failed_test"
    )
    closing+=("$name: $seconds s")
    [ -z "${PARTS:-}" ] || printf '%6d s  %s\n' "$seconds" "$name" >>"$PARTS"
}

# One set of features for all parts, that of the tests: what a part needs was built by the first one. Examples are only
# compiled, by Clippy.
targets=(--workspace --locked --lib --bins --tests)

on_sqlite() { (unset TEST_DATABASE_URL && "$@"); }
build() { cargo build "${targets[@]}" && cargo test --workspace --locked --test plans --no-run; }
# Two tests per core: they wait for servers and clocks for two thirds of their time.
rust_tests() {
    local threads=$((2 * $(nproc)))
    if cargo nextest --version >/dev/null 2>&1; then
        COLLECT_STATEMENTS=$statements cargo nextest run "${targets[@]}" --test-threads $threads
    else
        COLLECT_STATEMENTS=$statements RUST_TEST_THREADS=$threads cargo test "${targets[@]}" --no-fail-fast
    fi
}
plans() { EXPLAIN_STATEMENTS=$statements cargo test --workspace --locked --test plans; }
doc_examples() { cargo test --workspace --locked --doc; }
browser() { npm --prefix e2e test; }

part "build of the tests" build
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
