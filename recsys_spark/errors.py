"""The errors that the job raises on purpose. Each says what is wrong, where, what was found and expected, and what to
do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RecsysError(Exception):
    """Base of all errors that the job raises on purpose. ``exit_code`` is the exit status of the process."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        found: object = None,
        expected: object = None,
        action: str | None = None,
    ) -> None:
        self.what, self.where, self.found, self.expected, self.action = what, where, found, expected, action
        parts = [what]
        parts += [f"  where:    {where}"] if where is not None else []
        parts += [f"  found:    {found}"] if found is not None else []
        parts += [f"  expected: {expected}"] if expected is not None else []
        parts += [f"  to do:    {action}"] if action is not None else []
        super().__init__("\n".join(parts))

    def parts(self) -> dict[str, object]:
        """Return the arguments that make the same error again, in another process.

        >>> str(RecsysError(**RecsysError("No items", found=0).parts())).splitlines()
        ['No items', '  found:    0']
        """
        return {
            "what": self.what,
            "where": self.where,
            "found": self.found,
            "expected": self.expected,
            "action": self.action,
        }


class ConfigError(RecsysError):
    """The configuration file or the command line is wrong. Nothing was read or written."""

    exit_code = 2


class SourceError(RecsysError):
    """A source cannot be read, or cannot be mapped onto its contract table."""

    exit_code = 3


class DataError(RecsysError):
    """The data can be read, but the job cannot run on them: for example, there are no items or no behaviours."""

    exit_code = 4


class EncoderError(RecsysError):
    """The text encoder cannot be loaded, or must not be loaded."""

    exit_code = 5


class TrainingError(RecsysError):
    """Training failed or diverged."""

    exit_code = 6


class StoreError(RecsysError):
    """The store cannot be read or written, or the input of a stage does not exist yet."""

    exit_code = 7


class SchemaError(RecsysError):
    """A stage returned a table that does not fit its definition. This is a defect of the project, not of the data."""

    exit_code = 8


class PublishRefused(RecsysError):
    """A gate of ``publish`` did not hold. The lists that were published earlier stay as they were."""

    exit_code = 9


class StartupError(RecsysError):
    """Spark cannot start here: Java, Spark, Python or a folder is missing, unfit or not writable. No stage has run."""

    exit_code = 10


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is most similar to ``name``, or None where no choice is similar.

    >>> nearest("half_life", ["half_life_days", "top_n"])
    'half_life_days'
    """
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return found[0] if found else None
