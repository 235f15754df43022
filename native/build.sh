#!/usr/bin/env bash
# native/build.sh install|wheel: builds the compiled codec with the checkout's .venv, into it or
# as a wheel into dist/. Rust's own output goes to the user's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v cargo >/dev/null; then
  echo "make: cargo is missing; the compiled codec needs Rust 1.83 or newer: https://rustup.rs" >&2
  exit 1
fi
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kubbo/native-target}"
case $1 in
  install)
    echo "installing: kubbo-native into .venv"
    .venv/bin/pip install --quiet --force-reinstall --no-deps ./native
    ;;
  wheel)
    .venv/bin/pip wheel --quiet --no-deps --wheel-dir dist ./native
    ;;
esac
