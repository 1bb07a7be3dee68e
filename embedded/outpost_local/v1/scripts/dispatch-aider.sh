#!/bin/bash
# dispatch-aider.sh <repo> "<task>" [--context]
exec "$(dirname "$0")/dispatch-unified.sh" "${1:-}" "${2:-}" --executor=aider "${@:3}"
