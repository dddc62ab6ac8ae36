#!/usr/bin/env bash
# ONNX Runtime's own way to turn reports off comes too late: it still calls its maker.
#
# Expected: `onnxruntime.disable_telemetry_events()` right after the import, before any
# session, and nothing leaves the machine. Its Privacy.md says that this suppresses what
# is not essential, and that a first event may be emitted already; but nothing was sent.
# Seen with onnxruntime 1.32.0 on Linux x86_64: some ten seconds after the import it asks
# for the collector's address and goes on trying, just as without the call. It also
# leaves a database and an identifier of this machine in the user's cache; the one event
# in it names the path of Python. Only ORT_DISABLE_TELEMETRY=1, set before the import,
# prevents all of it.
# It runs in a network namespace without a way out; attempts are counted by strace.
# Fails if that changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 numpy==2.4.6
program="import onnxruntime as o; o.disable_telemetry_events(); import time; time.sleep(20)"

attempts() { # NAME VARIABLE=VALUE...: how often it tried to reach another machine
    local name="$1" && shift
    mkdir "$folder/$name"
    env HOME="$folder/$name" "$@" strace -f -qq -e trace=connect -o "$folder/$name.log" \
        unshare -rn "$folder/venv/bin/python" -c "$program"
    grep -c 'AF_INET6\?,' "$folder/$name.log" || true
}

told="$(attempts told XDG_CACHE_HOME=)"
left="$(find "$folder/told" -name onnxruntime.db -o -name deviceid | wc -l)"
never="$(attempts never XDG_CACHE_HOME= ORT_DISABLE_TELEMETRY=1)"
kept="$(find "$folder/never" -type f | wc -l)"
echo "disable_telemetry_events(): $told attempts, $left files left"
echo "ORT_DISABLE_TELEMETRY=1: $never attempts, $kept files left"
[ "$told" -gt 0 ] && [ "$left" -eq 2 ] && [ "$never" -eq 0 ] && [ "$kept" -eq 0 ]
