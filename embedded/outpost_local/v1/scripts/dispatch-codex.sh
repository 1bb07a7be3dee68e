#!/bin/bash
# dispatch-codex.sh <repo> "<task>" [--context]
exec "$(dirname "$0")/dispatch-unified.sh" "${1:-}" "${2:-}" --executor=codex "${@:3}"
