#!/bin/bash
# get-results.sh <run id>: prints what a run left.
set -u
run="$(cd "$(dirname "$0")/.." && pwd)/runs/${1:-}"
if [ -z "${1:-}" ] || [ ! -d "$run" ]; then
  echo "no such run: ${1:-}" >&2
  exit 66
fi
for name in summary.json output.log diff.patch; do
  echo "== $name"
  [ -f "$run/$name" ] && cat "$run/$name"
done
