#!/usr/bin/env bash
# Packs a virtual environment for --archives and prints the archive's path: pack_env.sh VENV FOLDER
#
# A venv borrows the interpreter that it was made from, so the nodes need that Python at the same path. If they do not
# have it, build a relocatable environment (conda-pack) and pass it by --env-archive instead.
set -euo pipefail

venv="$1" folder="$2"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# The kernels' machine code travels along, so that no executor compiles. Without it each machine does so once.
code="$folder/environment"
mkdir -p "$code/share"
PYTHONPATH="$root" "$venv/bin/python" -m recsys_spark.precompile --prefix "$code" >&2 ||
  echo "pack_env.sh: the kernels could not be compiled here; each machine will compile them once" >&2
# The installed distributions and that code name the archive, so that an unchanged environment is packed once.
id="$({
  find "$venv"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' -printf '%f\n'
  find "$code/share" -printf '%P\n'
} | sort | sha256sum | cut -c1-16)"
archive="$folder/environment-$id.tar.gz"
if [[ ! -f "$archive" ]]; then
  echo "packing $venv into $archive (once per set of packages and kernels) ..." >&2
  # Executors bring their own Spark; the package itself travels by --py-files.
  tar -czf "$archive.$$" --exclude='pyspark/jars' --exclude='__pycache__' --exclude='__editable__*recsys*' \
    -C "$venv" . -C "$code" ./share
  mv "$archive.$$" "$archive"
fi
printf '%s\n' "$archive"
