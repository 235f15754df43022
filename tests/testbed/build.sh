#!/usr/bin/env bash
# Builds the real Kubernetes parts that tests/cluster runs against, and prints the directory
# that holds them:
#
#   build.sh           build what is missing (progress on stderr, the directory on stdout)
#   build.sh --where   only print the directory; it exists once a build has succeeded
#
# The directory lies in the user's cache and is named after everything that it is built from,
# so that a second clone finds it and a changed module version never meets an old binary.
# Needed: Go, and a Go module proxy for the first build (about 0.8 GB of modules, 10 minutes
# of CPU). Nothing is taken from anywhere else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

sources=(build.sh {kubernetes,coredns}/{go.mod,go.sum,main.go})
# The machine's kind belongs to the name: a home directory may be shared between machines.
key=$({ uname -sm; sha256sum "${sources[@]}"; } | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubbo/testbed
bin=$cache/$key

say() { printf 'test bed: %s\n' "$*" >&2; }

[ "${1:-}" != --where ] || { echo "$bin"; exit; }
if [ -d "$bin" ]; then
  touch "$bin"   # in use: see the last lines
  echo "$bin"
  exit
fi
if ! command -v go >/dev/null; then
  say "building etcd, kube-apiserver and CoreDNS needs Go 1.25 or newer (https://go.dev/dl/) on PATH"
  exit 1
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "another build is running; waiting for it"; flock 9; }
if [ -d "$bin" ]; then echo "$bin"; exit; fi

# Only a complete build gets the final name. What an interrupted one has left goes now: the
# lock says that nobody else is at work.
rm -rf "$cache"/building.*
work=$(mktemp -d "$cache/building.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

export CGO_ENABLED=0 GOFLAGS=-mod=readonly

build() { # build NAME MODULE PACKAGE LDFLAGS
  local started=$SECONDS ticker
  say "building $1"
  (while sleep 20 >/dev/null 2>&1; do say "still building $1, $((SECONDS - started)) s"; done) 9>&- &
  ticker=$!
  # Go itself says nothing but which modules it loads: kept for the case that it fails. In the
  # background, because a shell heeds a signal only when nothing runs in its foreground.
  (cd "$2" && exec go build -trimpath -buildvcs=false -ldflags "-s -w $4" -o "$work/$1" "$3") \
    9>&- >"$work/log" 2>&1 &
  if ! wait $!; then
    tail -n 20 "$work/log" >&2
    say "building $1 failed"
    exit 1
  fi
  kill "$ticker"
  wait "$ticker" 2>/dev/null || :
  say "built $1 in $((SECONDS - started)) s, $(($(stat -c %s "$work/$1") >> 20)) MiB"
}

# What kube-apiserver answers to /version; unstamped, kubectl takes it for v0.0.0.
release=$(sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p' kubernetes/go.mod)
minor=${release#v1.}
minor=${minor%%.*}
stamp=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp+=" -X $package.gitVersion=$release -X $package.gitMajor=1 -X $package.gitMinor=$minor"
  stamp+=" -X $package.gitTreeState=clean -X $package.gitCommit=$(printf '%040d' 0)"
done

say "once for this machine: Kubernetes $release, etcd and CoreDNS into $bin"
build kubernetes kubernetes . "$stamp"
for part in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
  ln -s kubernetes "$work/$part"
done
build etcd kubernetes go.etcd.io/etcd/server/v3 ""
build coredns coredns . "-X github.com/coredns/coredns/coremain.GitCommit=testbed"

rm "$work/log"
chmod 755 "$work"
mv "$work" "$bin"
# A build is 205 MiB, and every change of a version makes a new one.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
echo "$bin"
