"""The machine contract: a diagnosis as strict JSON and back.

Field names are the model's own, but for those that read better as words: a fix has `from` and `to`, a cause `for`. Numbers that are not
finite are the strings "nan", "inf" and "-inf", since JSON has no other way to write them; reading turns them back where a number may stand.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from lossdoctor.errors import UsageError
from lossdoctor.limits import LIMITS
from lossdoctor.model import Diagnosis
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare

SCHEMA_VERSION = 1
EMBEDDED_ID = "lossdoctor-report"

_WIRE = {"speaks_for": "for", "current": "from", "proposed": "to"}
_MODEL = {wire: name for name, wire in _WIRE.items()}
_RENAMED_IN = {"causes", "fixes", "together"}
_NONFINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NUMERIC = frozenset({"numbers", "value", "conflicts", "current", "proposed", "cost", "confidence", "likelihood", "epochs", "deltas"})


def json(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """One object for one run, else {"schema_version": 1, "runs": [...]}; indented, with a final newline."""
    rows = [to_dict(d, options) for d in diagnoses]
    whole = rows[0] if len(rows) == 1 else {"schema_version": SCHEMA_VERSION, "runs": rows}
    return msgspec.json.format(encode(whole), indent=2) + "\n"


def jsonl(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """One object a line, one line a run."""
    return "".join(encode(to_dict(d, options)) + "\n" for d in diagnoses)


def to_dict(diagnosis: Diagnosis, options: Options) -> dict[str, Any]:
    """The contract's object, of plain strict-JSON values."""
    prepared = prepare(diagnosis, stable=options.stable)
    raw: dict[str, Any] = msgspec.to_builtins(prepared)
    gate = raw.pop("gate")
    if not options.series:
        raw.pop("series")
    for part in (*raw["findings"], *raw["vitals"]):
        told = part["claims"].items()
        part["claims"] = {name: {key: held for key, held in claim.items() if held not in (None, "")} for name, claim in told}
    if options.stable:
        raw.pop("versions")
        raw = _map(raw, lambda v: float(f"{v:.6g}") if isinstance(v, float) else v)
    ordered = {
        "schema_version": SCHEMA_VERSION,
        **raw,
        "gate": {"result": "passed" if gate["passed"] else "failed", "reasons": gate["reasons"]},
    }
    strict: dict[str, Any] = _rename(_strict(ordered), _WIRE)
    return strict


def encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def pack(rows: Sequence[dict[str, Any]]) -> str:
    """Objects of many runs as one JSON object with them compressed (zlib, base64): an eighth of the size. `load` reads it."""
    text = encode({"schema_version": SCHEMA_VERSION, "runs": list(rows)})
    return encode({"schema_version": SCHEMA_VERSION, "packed": base64.b64encode(zlib.compress(text.encode(), 9)).decode()})


def _unpack(packed: Any) -> list[dict[str, Any]]:
    try:
        body = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), LIMITS.json_bytes)
    except (TypeError, ValueError, zlib.error) as error:
        raise UsageError(f"not a lossdoctor report: its packed runs cannot be read: {error}") from error
    return _decode(body.decode(errors="replace"))


def load(text: str) -> list[Diagnosis]:
    """Read a report that lossdoctor wrote: JSON, JSON lines, or the HTML report with its embedded data.

    Raises UsageError where the text is none of these or comes from a newer major version of the contract.
    """
    if len(text) > LIMITS.json_bytes:
        raise UsageError(f"the report holds {len(text)} characters, the limit is {LIMITS.json_bytes}")
    body = text.lstrip("\ufeff \t\r\n")
    if body.startswith("<"):
        body = _embedded(body)
    rows = [row for whole in _decode(body) for row in _runs(whole)]
    return [_from_dict(row) for row in rows]


def _runs(whole: dict[str, Any]) -> list[Any]:
    if "packed" in whole:
        return [row for inner in _unpack(whole["packed"]) for row in inner.get("runs", [])]
    return list(whole.get("runs", [whole]))


def _embedded(page: str) -> str:
    opening = f'<script type="application/json" id="{EMBEDDED_ID}">'
    start = page.find(opening)
    end = page.find("</script>", start)
    if start < 0 or end < 0:
        raise UsageError("this HTML file holds no lossdoctor report")
    return page[start + len(opening) : end]


def _decode(body: str) -> list[dict[str, Any]]:
    try:
        return [_object(msgspec.json.decode(body))]
    except msgspec.DecodeError as error:
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].rstrip().endswith("}"):
            raise UsageError(f"not a lossdoctor report: {error}") from error
    try:
        return [_object(msgspec.json.decode(line)) for line in lines]
    except msgspec.DecodeError as error:
        raise UsageError(f"not a lossdoctor report: {error}") from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or "schema_version" not in value:
        raise UsageError("not a lossdoctor report: it has no schema_version")
    version = value["schema_version"]
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise UsageError(f"the report has schema version {version!r}, this lossdoctor reads up to {SCHEMA_VERSION}: update lossdoctor")
    if not isinstance(value.get("runs", []), list):
        raise UsageError("not a lossdoctor report: `runs` is not a list")
    return value


def _from_dict(row: Any) -> Diagnosis:
    if not isinstance(row, dict):
        raise UsageError("not a lossdoctor report: a run is not an object")
    plain = _numeric(_rename(row, _MODEL), inside=False)
    gate = plain.get("gate")
    if isinstance(gate, dict):
        plain["gate"] = {"passed": gate.get("result") != "failed", "reasons": gate.get("reasons", [])}
    try:
        return msgspec.convert(plain, Diagnosis)
    except msgspec.ValidationError as error:
        raise UsageError(f"not a lossdoctor report: {error}") from error


def schema() -> dict[str, Any]:
    """The JSON Schema of one run's object (draft 2020-12)."""
    return dict(_schema())


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.schema(Diagnosis)
    definitions: dict[str, Any] = made["$defs"]
    for name in ("Cause", "Fix", "Change"):
        part = definitions[name]
        part["properties"] = {_WIRE.get(key, key): value for key, value in part["properties"].items()}
        part["required"] = [_WIRE.get(key, key) for key in part["required"]]
    gate = definitions["Gate"]["properties"]
    gate["result"] = {"enum": ["failed", "passed"]}
    del gate["passed"]
    whole = definitions["Diagnosis"]
    whole["properties"] = {"schema_version": {"const": SCHEMA_VERSION}, **whole["properties"]}
    whole["required"] = ["schema_version", *whole["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "lossdoctor report", **_with_words(made)}


def _with_words(schema: Any) -> Any:
    """The schema with the words that stand for numbers which are not finite."""
    if isinstance(schema, list):
        return [_with_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _with_words(item) for key, item in schema.items()}
    return {"anyOf": [{"type": inner.pop("type")}, {"enum": sorted(_NONFINITE)}], **inner} if inner.get("type") == "number" else inner


def _strict(value: Any) -> Any:
    return _map(
        value, lambda v: ("nan" if math.isnan(v) else "inf" if v > 0 else "-inf") if isinstance(v, float) and not math.isfinite(v) else v
    )


def _map(value: Any, leaf: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _map(item, leaf) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_map(item, leaf) for item in value]
    return leaf(value)


def _rename(value: Any, names: dict[str, str], inside: bool = False) -> Any:
    """Rename keys of causes and fixes only: a number of a finding may be called `from`."""
    if isinstance(value, dict):
        return {
            (names.get(key, key) if inside else key): _rename(item, names, key in _RENAMED_IN) if key != "numbers" else item
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_rename(item, names, inside) for item in value]
    return value


def _numeric(value: Any, *, inside: bool) -> Any:
    if isinstance(value, dict):
        return {key: _numeric(item, inside=inside or key in _NUMERIC) for key, item in value.items()}
    if isinstance(value, list):
        return [_numeric(item, inside=inside) for item in value]
    return _NONFINITE.get(value, value) if inside and isinstance(value, str) else value
