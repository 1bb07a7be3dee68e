#!/bin/sh
# Installs one agent's CLI exactly as the lock files beside this script say:  install.sh AGENT FOLDER
# The command is then in FOLDER/bin. Packages run no scripts of their own. Needs npm, or uv and a Python.
# In AGENT/package.json, `outpost.programs` names native programs to link in place of the package's own command, and
# `outpost.unused` what is deleted.
set -eu
agent=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)
[ ! -e "$here/$agent/debian-packages" ] || cp "$here/$agent/debian-packages" "$folder/"

if [ -e "$here/$agent/requirements.txt" ]; then
    python=$(cat "$here/$agent/.python-version" 2> /dev/null || echo python3)
    uv venv --quiet --system-certs --clear --python "$python" "$folder/python"
    uv pip install --quiet --system-certs --no-cache --require-hashes --python "$folder/python/bin/python" \
        --requirements "$here/$agent/requirements.txt"
    # The command alone: beside it is a Python, which must not come before the worker's own.
    mkdir -p "$folder/bin" && ln -sf "$folder/python/bin/$agent" "$folder/bin/"
    exit
fi

for file in "$here"/*/package.json; do
    name=$(basename "$(dirname "$file")")
    mkdir -p "$folder/$name" && cp "$file" "$folder/$name/"
done
cp "$here/package.json" "$here/package-lock.json" "$folder/"
mkdir -p "$folder/bin"
cd "$folder"
npm ci --workspace="$agent" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
listed() {
    node -p "((require('./$agent/package.json').outpost || {}).$1 || []).join(' ')"
}
# Not quoted: the names are patterns, of packages for this machine's architecture.
rm -rf $(listed unused)
programs=$(listed programs)
for program in ${programs:-node_modules/.bin/$agent}; do
    case $program in
    *.br) # Compressed; the package's own script would unpack it into a home.
        node -e 'fs.writeFileSync(process.argv[2], zlib.brotliDecompressSync(fs.readFileSync(process.argv[1])), {mode: 0o755})' \
            "$program" "bin/$(basename "$program" .br)"
        rm "$program"
        ;;
    *) ln -sf "$folder/$program" bin/ ;;
    esac
done
# What is written for Node brings it along.
if head -n 1 "bin/$agent" | grep -q '^#!.*\bnode\b'; then
    cp -L "$(command -v node)" node-runtime
    ln -sf "$folder/node-runtime" bin/node
fi
