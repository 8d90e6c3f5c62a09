#!/usr/bin/env bash
# Packs a virtual environment for --archives and prints the archive's path: pack_env.sh VENV FOLDER
#
# A venv borrows the interpreter that it was made from, so the nodes need that Python at the same path. If they do not
# have it, build a relocatable environment (conda-pack) and pass it by --env-archive instead.
set -euo pipefail

venv="$1" folder="$2"
# The installed distributions name the archive, so that an unchanged environment is packed once.
id="$(find "$venv"/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' -printf '%f\n' | sort | sha256sum | cut -c1-16)"
archive="$folder/environment-$id.tar.gz"
if [[ ! -f "$archive" ]]; then
  echo "packing $venv into $archive (once per set of packages) ..." >&2
  # Executors bring their own Spark; the package itself travels by --py-files.
  tar -C "$venv" -czf "$archive.$$" --exclude='pyspark/jars' --exclude='__pycache__' --exclude='__editable__*recsys*' .
  mv "$archive.$$" "$archive"
fi
printf '%s\n' "$archive"
