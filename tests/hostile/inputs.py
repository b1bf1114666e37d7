"""One builder a row of the fault matrix: each makes a directory that nobody should be able to break lossdoctor with."""

from __future__ import annotations

import json
import math
import os
import pickle
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sources.event_files import writer

Builder = Callable[[Path], None]
FINDINGS = frozenset({0, 1})
NO_VERDICT = frozenset({3})
ANY = frozenset({0, 1, 3})


@dataclass(frozen=True, slots=True)
class Row:
    """A builder, the exit codes that the contract allows, and words that the output must hold."""

    build: Builder
    codes: frozenset[int]
    says: str = ""


def rows(count: int = 200, **more: Any) -> list[dict[str, Any]]:
    """The log of a healthy run, one entry every ten steps."""
    return [
        {"step": i * 10, "epoch": i / 100, "loss": round(1.2 + 2 * math.exp(-i / 40), 4), "learning_rate": 2e-4, **more}
        for i in range(1, count + 1)
    ]


def state(log: list[Any] | None = None, **more: Any) -> str:
    whole = {"global_step": 2000, "max_steps": 2000, "num_train_epochs": 2, "log_history": rows() if log is None else log, **more}
    return json.dumps(whole, indent=1)


def text(name: str, content: str | bytes) -> Builder:
    def build(home: Path) -> None:
        (home / name).write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    return build


def events(content: Callable[[], bytes]) -> Builder:
    """An event file made of the header and these bytes."""
    return lambda home: (home / "events.out.tfevents.1700000000.host.1.0").write_bytes(writer.version() + content()) and None


def falling(first: int = 1, last: int = 200) -> Iterator[bytes]:
    for i in range(first, last + 1):
        yield writer.scalar(writer.START + i, i * 10, "train/loss", 1.2 + 2 * math.exp(-i / 40))


def records() -> bytes:
    return b"".join(falling())


def damaged_at(place: int, change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    """The records of a run with one of them changed."""

    def made() -> bytes:
        every = list(falling())
        every[place] = change(every[place])
        return b"".join(every)

    return made


def flip(data: bytes, byte: int) -> bytes:
    return data[:byte] + bytes([data[byte] ^ 0x10]) + data[byte + 1 :]


def announced(length: int) -> bytes:
    """The head of a record that claims to be `length` bytes long, with a valid CRC."""
    head = struct.pack("<Q", length)
    return head + struct.pack("<I", writer.masked(head)) + b"never that much"


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def with_state(*others: Builder) -> Builder:
    """A healthy run with something beside it."""

    def build(home: Path) -> None:
        text("trainer_state.json", state())(home)
        for other in others:
            other(home)

    return build


def fifo(home: Path) -> None:
    os.mkfifo(home / "events.out.tfevents.1.fifo")
    os.mkfifo(home / "metrics.csv")


def unix_socket(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(home / "train.log"))


def links(home: Path) -> None:
    (home / "loop").symlink_to(home, target_is_directory=True)
    (home / "dangling.csv").symlink_to(home / "nowhere")
    outside = home.parent / f"{home.name}-outside"
    outside.mkdir()
    text("trainer_state.json", state([{"step": i, "loss": 5.0 + i} for i in range(1, 50)]))(outside)
    (home / "outside").symlink_to(outside, target_is_directory=True)
    (home / "trainer_state_other.json").symlink_to(outside / "trainer_state.json")


def names(home: Path) -> None:
    for name in ("\x1b[31mred\x1b[0m", "\u202egnp.evil", "a\nb", "<script>alert(1)</script>", "::error::x", "x" * 200, "$(touch pwned)"):
        (home / name.replace("/", "")).mkdir()
        text("metrics.csv", "step,loss\n" + "".join(f"{i},{2 - i / 300}\n" for i in range(60)))(home / name.replace("/", ""))
    (home / os.fsdecode(b"\xff\xfe")).mkdir()


def deep(home: Path) -> None:
    place = home
    for i in range(60):
        place = place / f"d{i}"
    place.mkdir(parents=True)
    text("trainer_state.json", state())(place)


def nested_json(home: Path) -> None:
    text("trainer_state.json", '{"log_history": ' + "[" * 100_000 + "]" * 100_000 + "}")(home)


def yaml_bomb(home: Path) -> None:
    lines = ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 9)]
    text("hparams.yaml", "\n".join(lines))(home)


def sparse(home: Path) -> None:
    with (home / "events.out.tfevents.1.sparse").open("wb") as file:
        file.truncate(1 << 30)


def many_tags() -> bytes:
    return b"".join(writer.scalar(writer.START, 1, f"tag/{i}", 1.0) for i in range(20_000))


def doubled_keys() -> str:
    return state().replace('"max_steps": 2000', '"max_steps": 7, "max_steps": 2000', 1)


MATRIX: dict[str, Row] = {
    # Event files
    "event file torn in its last record": Row(events(lambda: records()[:-7]), FINDINGS),
    "a flipped bit in a value": Row(events(damaged_at(100, lambda r: flip(r, 40))), NO_VERDICT, "crc"),
    "a flipped bit in a length": Row(events(damaged_at(100, lambda r: flip(r, 1))), NO_VERDICT, "damage"),
    "an invalid UTF-8 tag": Row(events(lambda: records() + writer.record(writer.event(1.0, 5,
        writer.field(5, writer.simple(b"\xff\xfe", 1.0))))), ANY),
    "bad protobuf": Row(events(lambda: records() + writer.record(b"\xff" * 40) + b"".join(falling(201, 220))), NO_VERDICT),
    "a declared length of 2^40": Row(events(lambda: records() + announced(1 << 40)), ANY),
    "a declared length of 2^64 - 1": Row(events(lambda: announced((1 << 64) - 1)), NO_VERDICT),
    "a record over 1 MiB": Row(events(lambda: records() + writer.record(bytes(2 << 20)) + b"".join(falling(201, 220))), ANY),
    "an empty event file": Row(text("events.out.tfevents.1.a", b""), NO_VERDICT),
    "zeros": Row(text("events.out.tfevents.1.a", bytes(100_000)), NO_VERDICT),
    "a sparse event file of 1 GiB": Row(sparse, NO_VERDICT),
    "text that is called an event file": Row(text("events.out.tfevents.1.a", "hello\n" * 99), NO_VERDICT),
    "20,000 tags": Row(events(many_tags), ANY),
    # States
    "half a state": Row(text("trainer_state.json", state()[: len(state()) // 2]), NO_VERDICT, "trainer_state.json"),
    "a state cut in a number": Row(text("trainer_state.json", state().rpartition("0.0002")[0] + "0.00"), NO_VERDICT),
    "another tool's state": Row(text("trainer_state.json", '{"a": [1, 2]}'), NO_VERDICT, "trainer_state.json"),
    "a state that is a list": Row(text("trainer_state.json", "[1, 2, 3]"), NO_VERDICT),
    "an empty log": Row(text("trainer_state.json", state([])), NO_VERDICT),
    "one entry": Row(text("trainer_state.json", state([{"step": 1, "loss": 2.0}])), ANY),
    "NaN and Infinity": Row(text("trainer_state.json", state([*rows()[:99], {"step": 1000, "loss": math.nan},
        {"step": 1010, "loss": math.inf}])), frozenset({1}), "NaN"),
    "1e400": Row(text("trainer_state.json", state().replace("1.2042", "1e400").replace("0.0002", "1e400", 1)), ANY),
    "an integer of 5,000 digits": Row(text("trainer_state.json", state().replace('"global_step": 2000', '"global_step": ' + "9" * 5000)),
        ANY),
    "words, lists and booleans for numbers": Row(text("trainer_state.json",
        state([*rows(), {"step": 2001, "loss": "low", "grad_norm": [1], "learning_rate": True, "note": {}}])), ANY),
    "numbers as strings": Row(text("trainer_state.json", state([{k: str(v) for k, v in row.items()} for row in rows()])), ANY),
    "entries that are no objects": Row(text("trainer_state.json", state([*rows(), 7, None, "x", []])), ANY),
    "keys twice": Row(text("trainer_state.json", doubled_keys()), ANY),
    "nesting 100,000 deep": Row(nested_json, NO_VERDICT),
    "a byte order mark and CRLF": Row(text("trainer_state.json", b"\xef\xbb\xbf" + state().replace("\n", "\r\n").encode()), FINDINGS),
    "a tail of NUL": Row(text("trainer_state.json", state().encode() + bytes(4096)), ANY),
    "lone surrogates": Row(text("trainer_state.json", state([{**row, "\\ud800": 1.0} for row in rows()]).replace("\\\\ud800", "\\ud800")),
        FINDINGS),
    "not UTF-8": Row(text("trainer_state.json", b'{"log_history": "\xff\xfe"}'), NO_VERDICT),
    "UTF-16": Row(text("trainer_state.json", state().encode("utf-16")), ANY),
    "backward, negative and huge steps": Row(text("trainer_state.json",
        state([{"step": s, "loss": 2.0} for s in (5, 3, -7, 1 << 63, 1e30, 9, 9)])), ANY),
    "9223372036854775807 epochs": Row(text("trainer_state.json", state(num_train_epochs=9223372036854775807)), FINDINGS),
    "a plan of 2^62 steps": Row(text("trainer_state.json", state(max_steps=1 << 62)), ANY),
    "a git-lfs pointer": Row(text("trainer_state.json", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"), NO_VERDICT,
        "git lfs pull"),
    # What lies beside a run
    "a pickle that runs a command": Row(with_state(text("training_args.bin", pickle.dumps(Bomb()))), FINDINGS),
    "a scheduler that runs a command": Row(with_state(text("scheduler.pt", pickle.dumps(Bomb(), 0))), FINDINGS),
    "noise for training_args.bin": Row(with_state(text("training_args.bin", bytes(range(256)) * 40)), FINDINGS),
    "safetensors with a header of 2^63": Row(with_state(text("model.safetensors", struct.pack("<Q", 1 << 63) + b"{}")), ANY),
    "a YAML bomb": Row(with_state(yaml_bomb), FINDINGS),
    "YAML that builds objects": Row(with_state(text("hparams.yaml", "a: !!python/object/apply:os.system ['touch pwned']\nlr: 0.1\n")),
        FINDINGS),
    "a FIFO": Row(with_state(fifo), FINDINGS),
    "a socket": Row(with_state(unix_socket), FINDINGS),
    "links in circles and out of the root": Row(with_state(links), FINDINGS),
    "names that steer, lie and inject": Row(names, ANY),
    "60 directories deep": Row(deep, NO_VERDICT),
    # Tables and text
    "a table without rows": Row(text("metrics.csv", "step,loss\n"), NO_VERDICT),
    "a ragged table": Row(text("metrics.csv", "step,loss\n" + "".join(f"{i},{3 - i / 300}{',9' * (i % 3)}\n" for i in range(200))), ANY),
    "formulas in a table": Row(text("metrics.csv",
        "step,loss,=cmd|' /C calc'!A0\n" + "".join(f"{i},{3 - i / 300},1\n" for i in range(200))), FINDINGS),
    "a line of 10 MB": Row(text("train.log", "x" * 10_000_000 + "\n" + "".join(f"step {i} loss {3 - i / 300:.4f}\n" for i in range(200))),
        ANY),
    "a log of control characters": Row(text("train.log",
        "".join(f"\x1b[2J\x1b]0;pwned\x07step {i} loss {3 - i / 300:.4f}\x00\n" for i in range(200))), ANY),
    "half a .wandb file": Row(text("run-abc.wandb", b":W&B\xe1\xbe\x00" + bytes(range(256))), NO_VERDICT),
    "JSON lines with a broken one": Row(text("log.jsonl", "".join(json.dumps({"step": i,
        "loss": 3 - i / 300}) + "\n" for i in range(200)) + '{"step": 2'), ANY),
}  # fmt: skip
