"""Encoding beside its limit and its rivals: `make bench-encode` writes benchmarks/results/encode.{md,json,png}.

Each part runs in a process of its own. Texts come from RECSYS_DATA_DIR where it is set, multilingual-e5-small from RECSYS_E5_DIR.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from benchmarks.encode_cases import E5_VARIABLE, MINILM
from benchmarks.encode_results import LEDGER, PARTS, keep
from benchmarks.encode_texts import DATA
from benchmarks.ledger import say


def run_part(part: str, arguments: argparse.Namespace) -> None:
    """Measure one part here, keep its rows and write the report."""
    folder = LEDGER.folder_of(arguments)
    rows = importlib.import_module(f"benchmarks.encode_{part}").measure(tiny=arguments.tiny, cores=arguments.cores)
    keep(folder, part, rows)
    say(f"wrote {len(rows)} rows of {part} to {folder}")


def main() -> None:
    """Run the parts that were asked for."""
    parser = LEDGER.parser(__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of %(default)s, by default all")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"--parts: {', '.join(sorted(unknown))} not among {', '.join(PARTS)}")
    if len(parts) == 1:
        run_part(parts[0], arguments)
        return
    shared = ["--cores", str(arguments.cores), "--results", str(LEDGER.folder_of(arguments))]
    shared += ["--tiny"] if arguments.tiny else []
    say(
        f"models: {MINILM}, and multilingual-e5-small where {E5_VARIABLE} names its folder; texts: {DATA}, else generated"
    )
    for part in parts:
        say(f"==> {part}")
        subprocess.run([sys.executable, "-m", "benchmarks.encode", "--parts", part, *shared], check=True)


if __name__ == "__main__":
    main()
