#!/bin/bash
# list-runs.sh: one line for each run, newest first.
set -u
base="$(cd "$(dirname "$0")/.." && pwd)"
for summary in $(ls -1dt "$base"/runs/*/summary.json 2> /dev/null); do
  cat "$summary"
done
