#!/bin/bash
# dispatch.sh <repo> "<task>" [--context]: the first script, Claude only.
exec "$(dirname "$0")/dispatch-unified.sh" "${1:-}" "${2:-}" --executor=claude "${@:3}"
