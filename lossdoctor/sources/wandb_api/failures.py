"""What the client's exceptions mean, in our words."""

from __future__ import annotations

import re

from lossdoctor.errors import LossdoctorError, RemoteError
from lossdoctor.sources.wandb_api.address import Address

_REASONS = {
    401: "the service refused the API key: check WANDB_API_KEY or run `wandb login --relogin`",
    403: "this key may not read the run: ask its owner for access",
    404: "there is no such run, or this key may not see it: check entity, project and run ID",
    429: "the service answers too many requests with 429: wait a minute and try again",
}


def remote_error(error: Exception, where: Address) -> LossdoctorError:
    """Say in our words what the client's exception means; the HTTP status hides in its cause."""
    if isinstance(error, LossdoctorError):
        return error
    status = _status(error)
    text = " ".join(str(error).split())[:300]
    if status in _REASONS:
        return RemoteError(f"{where}: {_REASONS[status]} (HTTP {status}: {text})")
    if "could not find run" in text.lower() or "no history found" in text.lower():
        return RemoteError(f"{where}: {_REASONS[404]} ({text})")
    if status is not None:
        return RemoteError(f"{where}: the service failed with HTTP {status}; try again later ({text})")
    if re.search(r"timeout|timed out|deadline exceeded|in time", text, re.IGNORECASE):
        return RemoteError(f"{where}: the service did not answer in time ({text})")
    return RemoteError(f"{where}: the WandB client failed: {text or type(error).__name__}")


def _status(error: BaseException | None) -> int | None:
    seen = 0
    while error is not None and seen < 8:
        response = getattr(error, "response", None)
        status = getattr(response, "http_status", None) or getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return status
        found = re.search(r"\bHTTP (\d{3})\b", str(error))
        if found:
            return int(found[1])
        error, seen = error.__cause__ or getattr(error, "exc", None), seen + 1
    return None
