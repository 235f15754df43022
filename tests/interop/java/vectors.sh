#!/bin/sh
# Makes tests/vectors/hessian2/*.jsonl anew; the same octets every time.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=$("$here/build.sh")
to=$here/../../vectors/hessian2
mkdir -p "$to"
rm -f "$to"/*.jsonl
java -Duser.timezone=UTC -Duser.language=en -cp "$home/peer.jar:$home/lib/*" \
    com.example.interop.peer.Main vectors "$to" tests/interop/java/vectors.sh
cat "$to"/*.jsonl | wc -l | xargs echo "vectors:" >&2
