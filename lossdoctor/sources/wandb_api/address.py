"""wandb://entity/project/run and pasted URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from lossdoctor.errors import UsageError

_PART = re.compile(r"[^/\\\x00-\x1f?#%:]+")
_HOSTED = {"wandb.ai", "www.wandb.ai", "app.wandb.ai", "api.wandb.ai", "forge.coreweave.com", "api.forge.coreweave.com"}


@dataclass(frozen=True, slots=True)
class Address:
    """entity/project/run, and the host where a pasted URL named one."""

    entity: str
    project: str
    run: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.run}"


def address(url: str) -> Address:
    """Take `wandb://entity/project/run` or a pasted `https://host/entity/project/runs/ID` apart; raises `UsageError` for anything else."""
    parts = urlsplit(url)
    names = [unquote(part) for part in parts.path.split("/") if part]
    if parts.scheme == "wandb":
        names = [unquote(parts.netloc), *names]
        host = ""
    else:
        host = parts.netloc.rpartition("@")[2].lower()
        # The service may lie below a path of its host, and a page of the run may follow its ID.
        at = names.index("runs", 2) if "runs" in names[2:-1] else 0
        names = [names[at - 2], names[at - 1], names[at + 1]] if at else []
    if len(names) != 3 or not all(_PART.fullmatch(name) for name in names) or parts.scheme not in {"wandb", "https", "http"}:
        raise UsageError(f"{url}: not a WandB run; write wandb://entity/project/run or paste the address of the run's page (.../runs/ID)")
    return Address(names[0], names[1], names[2], host)


def check_server(where: Address, base_url: str) -> None:
    """A pasted address never decides where the key goes."""
    ours = urlsplit(base_url).netloc.lower()
    if where.host and where.host not in {ours, ours.removeprefix("api.")} and not (where.host in _HOSTED and ours in _HOSTED):
        raise UsageError(
            f"the address names the server {where.host}, but WandB is set up for {ours}; set WANDB_BASE_URL to read from another server"
        )
