#!/bin/bash
# dispatch-grok.sh <repo> "<task>" [--context]
exec "$(dirname "$0")/dispatch-unified.sh" "${1:-}" "${2:-}" --executor=grok "${@:3}"
