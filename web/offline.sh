#!/bin/sh
# Writes sw.js into a build: web/offline.js with the list of the build's own files, and a version that changes with any of them.
# Trunk calls it (Trunk.toml); it may also be called with a folder and the repository's root.
set -eu
build=${1:-$TRUNK_STAGING_DIR}
source=${2:-$TRUNK_SOURCE_DIR}
cd "$build"
# A sample of real rows may be added beside the page after the build, and is large: it is not kept. Nor is what web/pack.mjs leaves beside
# a file: a host sends it under the file's own name.
list=$(find . -type f ! -path ./sw.js ! -path ./assets/sample.bin ! -name '*.br' ! -name '*.gz' | sed 's|^\./||' | LC_ALL=C sort)
version=$(echo "$list" | while read -r file; do cksum "$file"; done | cksum | cut -d' ' -f1)
{
  echo "// Made by web/offline.sh with the build."
  echo "const VERSION = \"$version\";"
  echo "const FILES = ["
  echo "$list" | sed 's|.*|  "&",|'
  echo "];"
  echo
  cat "$source/web/offline.js"
} > sw.js
