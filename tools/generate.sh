#!/usr/bin/env bash
# Generates skychimp.example.toml, and the table of settings in docs/configuration.md, from the
# program.
#
#   tools/generate.sh PROGRAM            writes both files
#   tools/generate.sh PROGRAM --check    fails if they are out of date
set -euo pipefail
cd "$(dirname "$0")/.."

program=$1
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

"$program" config example >"$fresh/skychimp.example.toml"
"$program" config table >"$fresh/table"
[ "$(grep -c '^<!-- configuration: ' docs/configuration.md)" = 2 ] || { echo "docs/configuration.md: a mark is missing" >&2; exit 1; }
# put the table between the two marks
sed -e '/^<!-- configuration: begin/r '"$fresh/table" -e '/^<!-- configuration: begin/,/^<!-- configuration: end/{/^<!--/!d}' \
    docs/configuration.md >"$fresh/configuration.md"

code=0
for file in skychimp.example.toml docs/configuration.md; do
    if [ "${2:-}" != --check ]; then
        cp "$fresh/$(basename $file)" $file
    elif ! cmp -s "$fresh/$(basename $file)" $file; then
        echo "$file is out of date: run \`make generate\`" >&2
        code=1
    fi
done
exit $code
