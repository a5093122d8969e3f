#!/usr/bin/env bash
# One part of the checks or of the tests: tests/part.sh NAME COMMAND [ARGUMENT...]
# Runs the command, and adds a line with its seconds to the file $PARTS, which `.ci/run` prints at the end.
name=$1
shift
began=$SECONDS
"$@"
code=$?
[ -z "${PARTS:-}" ] || printf '%6d s  %s\n' $((SECONDS - began)) "$name" >>"$PARTS"
exit $code
