"""Models of the hub: downloaded once by the driver, at a commit that is logged; workers never ask the hub."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import TypeVar

from recsys_spark.encoding.files.checks import CODE, LEFT, kept_patterns, no_weights, weight_files
from recsys_spark.encoding.files.find import WAYS
from recsys_spark.encoding.files.modules import transformer_folder, weight_patterns
from recsys_spark.errors import EncoderError

T = TypeVar("T")

log = logging.getLogger("recsys_spark")
COMMIT = re.compile(r"[0-9a-f]{40}")
REQUEST_SECONDS = 5.0
PROBE_SECONDS = 10.0
"""Limit of the first request, name resolution and proxy included, which no timeout of an HTTP client covers."""


def hub_folder(model: str, revision: str, *, trusted: bool) -> Path:
    """Return the folder of the hub model ``ORG/NAME`` in the hub cache, downloaded if missing; raises EncoderError.

    A commit that is in the cache needs no request. Another ``revision``, or none, is looked up, and its commit is
    logged.
    """
    if trusted and not COMMIT.fullmatch(revision):
        raise EncoderError(
            "a branch or tag can move, so it does not say which code of the hub model is trusted",
            where="encoder.revision",
            found=revision,
            expected="a commit: 40 hex digits",
            action="read the code at a commit and set encoder.revision to it",
        )
    pinned, offline = bool(COMMIT.fullmatch(revision)), _is_offline()
    if (pinned or offline) and (cached := _cached(model, revision, trusted)):
        return cached
    if offline:
        raise _unreachable(model, "HF_HUB_OFFLINE is set, and the model is not in the hub cache")
    try:
        names = _within(PROBE_SECONDS, lambda: _file_names(model, revision))
    except Exception as error:
        if (refusal := _refusal(model, revision, error)) is not None:
            raise refusal from error
        if cached := _cached(model, revision, trusted):
            log.warning("encoder: the hub cannot be reached; %s is taken from its cache, commit %s", model, cached.name)
            return cached
        raise _unreachable(model, _short(error)) from error
    if not any(name.endswith(".safetensors") for name in names):
        raise no_weights(f"{_endpoint()}/{model}", names)
    try:
        folder = _snapshot(model, revision, trusted, local_files_only=False)
    except Exception as error:
        raise _refusal(model, revision, error) or _unreachable(model, _short(error)) from error
    if not pinned:
        log.warning('encoder: %s is at commit %s; pin it with encoder.revision = "%s"', model, folder.name, folder.name)
    return folder


def _file_names(model: str, revision: str) -> list[str]:
    from huggingface_hub import HfApi

    info = HfApi(endpoint=_endpoint()).model_info(model, revision=revision or None, timeout=REQUEST_SECONDS)
    return [sibling.rfilename for sibling in info.siblings or ()]


def _snapshot(model: str, revision: str, trusted: bool, *, local_files_only: bool) -> Path:
    from huggingface_hub import snapshot_download

    download = partial(
        snapshot_download,
        model,
        endpoint=_endpoint(),
        etag_timeout=REQUEST_SECONDS,
        local_files_only=local_files_only,
    )
    folder = Path(
        str(
            download(
                revision=revision or None,
                allow_patterns=list(kept_patterns(trusted)),
                ignore_patterns=list(LEFT),
            )
        )
    )
    if patterns := weight_patterns(folder):
        # Which folders have weights is known only now. The commit may not be another one in the meantime.
        download(revision=folder.name, allow_patterns=patterns)
    return folder


def _cached(model: str, revision: str, trusted: bool) -> Path | None:
    """Return the folder in the hub cache if it is complete: an older client also returns an interrupted download."""
    try:
        folder = _snapshot(model, revision, trusted, local_files_only=True)
        root = transformer_folder(folder)
        weight_files(root)
    except (OSError, ValueError, EncoderError):
        return None
    has_code = not trusted or any(folder.glob(CODE[0]))
    has_layers = all(any(folder.glob(pattern)) for pattern in weight_patterns(folder))
    return folder if has_code and has_layers and (root / "config.json").is_file() else None


def _refusal(model: str, revision: str, error: Exception) -> EncoderError | None:
    """Return the error for a refusal by the hub; None where the hub did not answer."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if not isinstance(error, (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError)):
        return None
    if isinstance(error, RevisionNotFoundError):
        what, action = "the hub model has no such revision", "correct encoder.revision"
    elif isinstance(error, GatedRepoError):
        what, action = "the hub model is gated", "accept its terms on the hub and set HF_TOKEN for the driver"
    else:
        what = "the hub has no such model, or does not show it to this user"
        action = "check the spelling; for a private model set HF_TOKEN for the driver"
    return EncoderError(
        what,
        where=_endpoint(),
        found=f"{model} at {revision}" if revision else model,
        expected="a model ORG/NAME and, in encoder.revision, one of its commits, tags or branches",
        action=action,
    )


def _unreachable(model: str, why: str) -> EncoderError:
    return EncoderError(
        f"the hub cannot be asked for the encoder {model}",
        where=_endpoint(),
        found=why,
        expected="network from the driver to the hub, or the model in the hub cache (HF_HOME) of the driver",
        action="".join(["give encoder.model one of", *(f"\n            - {way}" for way in WAYS[:-1])]),
    )


def _endpoint() -> str:
    # Read here, because a notebook may have imported huggingface_hub long before it was set.
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return ``call()``; raises TimeoutError after ``seconds``. The waiting thread does not keep the process alive."""
    answer: Future[T] = Future()

    def ask() -> None:
        try:
            answer.set_result(call())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=ask, name="hub", daemon=True).start()
    if not wait([answer], timeout=seconds).done:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return answer.result()


def _short(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}"[:300] if text else type(error).__name__
