#!/bin/sh
# Builds the Java peer into the user's cache directory, once for each state of its sources.
#
#   build.sh [DUBBO_VERSION]    says on stderr what it does; its only line on stdout is the
#                               directory with peer.jar and lib/
#
# Nothing is left in the checkout. A build that is there already is used as it is; the registry
# is needed for a new one only.
set -eu

version=${1:-3.3.6}
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "java peer: $*" >&2; }

for tool in java mvn; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        say "$tool is missing: install OpenJDK 17 or later and Maven 3.8 or later" \
            "(Debian: apt-get install openjdk-17-jdk-headless maven)"
        exit 1
    fi
done

key=$(cd "$here" && find pom.xml build.sh src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)-$version
root=${XDG_CACHE_HOME:-$HOME/.cache}/kubbo/java-peer
home=$root/$key
if [ -f "$home/complete" ]; then
    say "already built: $home"
    echo "$home"
    exit 0
fi

mkdir -p "$root"
exec 9>"$root/lock"
flock 9 # two runs at once: the second one finds what the first one built
if [ ! -f "$home/complete" ]; then
    say "building with Dubbo $version into $home (the first time also fetches Dubbo) ..."
    began=$(date +%s)
    scratch=$root/$key.$$
    trap 'rm -rf "$scratch"' EXIT INT TERM
    mvn -q -B -Dstyle.color=never -f "$here/pom.xml" \
        -Ddubbo.version="$version" -Dpeer.build="$scratch" package >&2 || {
        say "Maven failed (above); it needs its registry once: run this script with network access"
        exit 1
    }
    touch "$scratch/complete"
    rm -rf "$home"
    mv "$scratch" "$home"
    say "built in $(($(date +%s) - began)) s"
fi
echo "$home"
