#!/bin/sh
# Installs one agent's CLI exactly as the lock files beside this script say:  install.sh AGENT FOLDER
# The command is then in FOLDER/bin. Packages run no scripts of their own. Needs npm, or uv and a Python for aider.
set -eu
agent=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)

if [ "$agent" = aider ]; then
    uv venv --quiet --system-certs --clear --python "${AIDER_PYTHON:-3.11}" "$folder"
    uv pip install --quiet --system-certs --no-cache --require-hashes --python "$folder/bin/python" \
        --requirements "$here/aider/requirements.txt"
    exit
fi

for name in claude codex gemini grok; do
    mkdir -p "$folder/$name" && cp "$here/$name/package.json" "$folder/$name/"
done
cp "$here/package.json" "$here/package-lock.json" "$folder/"
mkdir -p "$folder/bin"
cd "$folder"
npm ci --workspace="$agent" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
case $agent in
claude) ln -sf "$folder"/node_modules/@anthropic-ai/claude-code-*/claude bin/claude ;;
codex)
    # The native program, without the shim in front of it and without what speaks and listens.
    vendor=$(echo "$folder"/node_modules/@openai/codex-*/vendor/*)
    rm -rf "$vendor/codex-resources/voice"
    ln -sf "$vendor/bin/codex" "$vendor/codex-path/rg" bin/
    ;;
grok)
    # The native program: the package ships it compressed, and its script would unpack it into a home.
    node -e 'fs.writeFileSync("bin/grok", zlib.brotliDecompressSync(fs.readFileSync(process.argv[1])), {mode: 0o755})' \
        "$folder"/node_modules/@xai-official/grok-*/bin/grok.br
    rm -rf "$folder/node_modules"
    ;;
*) ln -sf "$folder/node_modules/.bin/$agent" "bin/$agent" ;;
esac
