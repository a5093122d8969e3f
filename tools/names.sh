#!/usr/bin/env bash
# Names and words: a public type of the libraries means one thing, and comments use plain English. Single words are
# in typos.toml; here are the phrases. Prints what is wrong and exits with 1.
set -uo pipefail
cd "$(dirname "$0")/.."
broken=0
export LC_ALL=C.UTF-8 # widths are counted in characters

# `Error` and `State` are the same word for many modules on purpose; structs of pages and commands may repeat
libraries=(crates/core/src crates/engine/src crates/smtp/src crates/web/src ':!*/testing*' ':!crates/web/src/pages*')
twice=$(git grep -hoE '^ *pub(\(crate\))? (struct|enum|trait|type|union) [A-Z][A-Za-z0-9]+' -- "${libraries[@]}" |
    awk '{ print $NF }' | sort | uniq -d | grep -vxE 'Error|State')
for name in $twice; do
    broken=1
    echo "two public types are called $name:"
    git grep -nE "^ *pub(\(crate\))? (struct|enum|trait|type|union) $name\b" -- "${libraries[@]}"
done

phrases='for good|by and by|to be had|comes to nothing|is heard of|what became of it|see the module|See the module'
if git grep -nE "//.*\b($phrases)\b" -- 'crates/*.rs' 'tools/*.rs'; then
    broken=1
    echo 'phrases that sound translated (tools/names.sh)'
fi

# a comment is as wide as the code (rustfmt.toml); tables and addresses cannot be wrapped
if git grep -nP '^(?=.{101})\s*//(?!.*(\||https?://|cargo run))' -- 'crates/*.rs' 'tools/*.rs'; then
    broken=1
    echo 'comments wider than 100 columns'
fi
exit $broken
