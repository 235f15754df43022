#!/bin/sh
# Fetches Dubbo's Kubernetes registry and what it needs into the user's cache directory, once for
# each state of pom.xml.
#
#   fetch.sh    says on stderr what it does; its only line on stdout is the directory of the jars
#
# Nothing is left in the checkout.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
say() { echo "java kubernetes registry: $*" >&2; }

if ! command -v mvn >/dev/null 2>&1; then
    say "mvn is missing: install Maven 3.8 or later (Debian: apt-get install maven)"
    exit 1
fi

key=$(cd "$here" && sha256sum pom.xml fetch.sh | sha256sum | cut -c1-16)
root=${XDG_CACHE_HOME:-$HOME/.cache}/kubbo/java-kubernetes
home=$root/$key
mkdir -p "$root"
exec 9>"$root/lock"
flock 9 # two runs at once: the second one finds what the first one fetched
if [ ! -d "$home" ]; then
    say "fetching into $home ..."
    scratch=$root/$key.$$
    trap 'rm -rf "$scratch"' EXIT INT TERM
    mvn -q -B -Dstyle.color=never -f "$here/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$scratch" >&2 || {
        say "Maven failed (above); it needs its registry once: run this script with network access"
        exit 1
    }
    mv "$scratch" "$home"
fi
echo "$home"
