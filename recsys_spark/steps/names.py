"""The one list of stage names, in the order of the pipeline. It imports nothing, so the command line stays quick."""

from __future__ import annotations

STAGES = {
    "ingest": "reads the sources, checks each row and writes the contract tables",
    "profiles": "builds a profile of each user and each item",
    "embed": "encodes the profile texts that have no vector yet",
    "train": "trains the model on the histories",
    "score": "finds the best items of each user in the whole catalogue",
    "rerank": "applies the rules and writes the reasons",
    "evaluate": "measures the same pipeline at an earlier date, next to the baselines",
    "publish": "checks the gates and makes the lists visible",
    "report": "writes one HTML file about the run",
}
"""Name of each stage, and what it does. Module `steps/NAME.py` exports the stage as ``STAGE``."""
STAGE_NAMES = tuple(STAGES)
BACKTESTED = STAGE_NAMES[: STAGE_NAMES.index("rerank") + 1]
"""The stages that a backtest runs at its earlier as_of."""
TIMED = STAGE_NAMES[: STAGE_NAMES.index("publish")]
"""The stages whose rows and seconds the manifest and the report show: those that finish before either is written."""
