"""Encoding beside its limit and its rivals: `make bench-encode` writes benchmarks/results/encode.{md,json,png}.

Each part runs in a process of its own. Texts come from RECSYS_DATA_DIR where it is set, multilingual-e5-small from RECSYS_E5_DIR.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

from benchmarks.common.ledger import say
from benchmarks.encode.cases import E5_VARIABLE, MINILM
from benchmarks.encode.results import LEDGER, PARTS, keep
from benchmarks.encode.texts import DATA, TEXTS


def run_part(part: str, arguments: argparse.Namespace) -> None:
    """Measure one part here, keep its rows and write the report."""
    folder, texts = LEDGER.folder_of(arguments), arguments.texts
    measure = importlib.import_module(f"benchmarks.encode.{part}").measure
    rows = []
    for row in measure(tiny=arguments.tiny, cores=arguments.cores, **({"texts": texts} if texts else {})):
        rows.append(row)
        # A part that takes an hour and is cut short has not measured for nothing.
        keep(folder, part, rows, texts)
    say(f"wrote {len(rows)} rows of {part} to {folder}")


def comma_separated(text: str) -> list[str]:
    """Of the command line.

    >>> comma_separated("titles,long profiles")
    ['titles', 'long profiles']
    """
    return text.split(",")


def main() -> None:
    """Run the parts that were asked for."""
    parser = LEDGER.parser(__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of %(default)s, by default all")
    parser.add_argument(
        "--texts", type=comma_separated, default=[], help=f"kernel and stage: only some of {', '.join(TEXTS)}"
    )
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    for name, asked, known in (("parts", parts, PARTS), ("texts", arguments.texts, TEXTS)):
        if unknown := set(asked) - set(known):
            parser.error(f"--{name}: {', '.join(sorted(unknown))} not among {', '.join(known)}")
    if arguments.texts and set(parts) - {"kernel", "stage"}:
        parser.error("--texts goes with --parts kernel or stage")
    if len(parts) == 1:
        run_part(parts[0], arguments)
        return
    shared = ["--cores", str(arguments.cores), "--results", str(LEDGER.folder_of(arguments))]
    shared += [
        *(["--tiny"] if arguments.tiny else []),
        *(["--texts", ",".join(arguments.texts)] if arguments.texts else []),
    ]
    say(
        f"models: {MINILM}, and multilingual-e5-small where {E5_VARIABLE} names its folder; texts: {DATA}, else generated"
    )
    for part in parts:
        say(f"==> {part}")
        subprocess.run([sys.executable, "-m", "benchmarks.encode", "--parts", part, *shared], check=True)


if __name__ == "__main__":
    main()
