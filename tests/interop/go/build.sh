#!/usr/bin/env bash
# Builds the dubbo-go peer into the user's cache directory, once for each state of its sources.
#
#   build.sh    says on stderr what it does; its only line on stdout is the directory with peer
#
# The directory is named after everything that it is built from. Needed: Go, and a Go module proxy
# for the first build (about 60 MB of modules, two minutes of CPU). Nothing is left in the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

sources=(build.sh go.mod go.sum ./*.go)
# The machine's kind belongs to the name: a home directory may be shared between machines.
key=$({ uname -sm; sha256sum "${sources[@]}"; } | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubbo/go-peer
home=$cache/$key

say() { printf 'go peer: %s\n' "$*" >&2; }

if [ -d "$home" ]; then
  touch "$home"   # in use: see the last lines
  echo "$home"
  exit
fi
if ! command -v go >/dev/null; then
  say "building it needs Go 1.25 or newer (https://go.dev/dl/) on PATH"
  exit 1
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "another build is running; waiting for it"; flock 9; }
if [ -d "$home" ]; then echo "$home"; exit; fi

# Only a complete build gets the final name. What an interrupted one has left goes now: the lock
# says that nobody else is at work.
rm -rf "$cache"/building.*
work=$(mktemp -d "$cache/building.XXXXXX")
ticker=
trap '[ -z "$ticker" ] || kill "$ticker" 2>/dev/null || :; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

say "building with $(sed -n 's|^\tdubbo.apache.org/\(dubbo-go\)/v3 \(v[0-9.]*\).*|\1 \2|p' go.mod)" \
  "into $home (the first time also fetches it, and takes about two minutes)"
(while sleep 20 >/dev/null 2>&1; do say "still building, $SECONDS s"; done) 9>&- &
ticker=$!
# In the background, because a shell heeds a signal only when nothing runs in its foreground.
CGO_ENABLED=0 GOFLAGS=-mod=readonly \
  go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/peer" . 9>&- >"$work/log" 2>&1 &
if ! wait $!; then
  tail -n 20 "$work/log" >&2
  say "building failed; it needs a Go module proxy once: run this script with network access"
  exit 1
fi
rm "$work/log"
chmod 755 "$work"
mv "$work" "$home"
say "built in $SECONDS s, $(($(stat -c %s "$home/peer") >> 20)) MiB"
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
echo "$home"
