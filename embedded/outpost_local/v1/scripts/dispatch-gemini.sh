#!/bin/bash
# dispatch-gemini.sh <repo> "<task>" [--context]
exec "$(dirname "$0")/dispatch-unified.sh" "${1:-}" "${2:-}" --executor=gemini "${@:3}"
