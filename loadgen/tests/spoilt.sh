#!/usr/bin/env bash
# A server that spoils trials, for tests: the program beside it, which is told something else than was
# meant; by the name it is started as. The process substitution leaves the process its number.
set -euo pipefail

case "$(basename "$0")" in
# Takes two connections, however many were asked for.
capped) change='1s/"connections":[0-9]*/"connections":2/' ;;
# Resets streams in place of ending them.
abrupt) change='s/^"end"$/"cut"/' ;;
# Resets some streams in place of all.
lenient) change='s/^"cut"$/"cut_some"/' ;;
esac
exec "$(dirname "$0")/pushbench" "$@" < <(exec sed -u "$change")
