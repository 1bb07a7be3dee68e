#!/bin/bash
# dispatch-unified.sh <repo> "<task>" --executor=<agent> [--context]
# Runs an agent on a fresh clone, one folder for each run. Everything lands on this machine's disk.
set -u
base="$(cd "$(dirname "$0")/.." && pwd)"
[ -f "$base/config.env" ] && . "$base/config.env"

repo="${1:-}"
task="${2:-}"
executor="claude"
context=false
for argument in "${@:3}"; do
  case "$argument" in
    --executor=*) executor="${argument#--executor=}" ;;
    --context) context=true ;;
    *) echo "unknown argument: $argument" >&2; exit 64 ;;
  esac
done
if [ -z "$repo" ] || [ -z "$task" ]; then
  echo "usage: dispatch-unified.sh <repo> \"<task>\" --executor=<agent> [--context]" >&2
  exit 64
fi
if [ ! -x "$base/executors/$executor" ]; then
  echo "unknown executor: $executor" >&2
  exit 64
fi

id="$(date -u +%Y%m%d-%H%M%S)-$$-$RANDOM"
run="$base/runs/$id"
mkdir -p "$run"
printf '%s\n' "$task" > "$run/task.md"
started="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
if ! git clone --quiet "${GIT_BASE:-https://github.com}/$repo" "$run/workspace" 2> "$run/output.log"; then
  code=128
else
  [ "$context" = true ] && git -C "$run/workspace" log -5 --oneline > "$run/workspace/CONTEXT.md"
  (cd "$run/workspace" && "$base/executors/$executor" "$task") >> "$run/output.log" 2>&1
  code=$?
  git -C "$run/workspace" add -A
  git -C "$run/workspace" diff --cached --binary > "$run/diff.patch"
fi
printf '{"id": "%s", "repo": "%s", "executor": "%s", "exit_code": %d, "started_at": "%s", "ended_at": "%s"}\n' \
  "$id" "$repo" "$executor" "$code" "$started" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "$run/summary.json"
echo "run $id"
cat "$run/output.log"
exit "$code"
