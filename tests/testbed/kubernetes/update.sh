#!/usr/bin/env bash
# Makes go.mod and go.sum of this module anew: run it after changing a version below and commit
# what it writes. Builds themselves run with -mod=readonly and resolve nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

kubernetes=v1.35.4             # the last minor release whose kubelet runs on cgroup v1
staging=v0.${kubernetes#v1.}   # k8s.io/api and its siblings carry v0.MINOR.PATCH
etcd=v3.6.6                    # the version that this Kubernetes release was tested with

export GOFLAGS=-mod=mod
rm -f go.mod go.sum
go mod init example.test/kubernetes-testbed
go mod edit -go=1.25.0
# Kubernetes' own go.mod takes its staging modules from its own tree; whoever depends on it has
# to name the published versions instead.
tree=$(go mod download -json "k8s.io/kubernetes@$kubernetes" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*|\1|p' "$tree/go.mod" |
  while read -r module; do go mod edit -replace "$module=$module@$staging"; done
parts=()
for part in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
  parts+=("k8s.io/kubernetes/cmd/$part@$kubernetes")
done
go get -tool "${parts[@]}" "go.etcd.io/etcd/server/v3@$etcd"
