"""The inert reading of pickles: what it gives for real shapes, and that hostile ones neither run, import nor cost anything."""

from __future__ import annotations

import builtins
import collections
import enum
import io
import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.limits import LIMITS
from lossdoctor.model import Fault
from lossdoctor.sources.settings.pickle_machine import interpret
from lossdoctor.sources.settings.pickle_scalars import read
from lossdoctor.sources.settings.pickle_values import PickleRefused, Stub

LOUD = {"import", "exec", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class"}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class Strategy(enum.Enum):
    STEPS = "steps"


@dataclass
class Arguments:
    learning_rate: float
    strategy: Strategy


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.args


def torch_zip(path: Path, data: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    return path


@contextmanager
def no_code_runs() -> Iterator[None]:
    """Fails when anything is imported, executed, spawned or looked up by import while the block runs."""
    seen: list[str] = []
    real = builtins.__import__
    active = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if active and (event in LOUD or event.startswith("socket")):
            seen.append(f"{event} {args}")

    def importer(name: str, *args: Any, **kwargs: Any) -> Any:
        seen.append(f"import {name}")
        return real(name, *args, **kwargs)

    sys.addaudithook(hook)
    modules = set(sys.modules)
    builtins.__import__ = importer
    try:
        yield
    finally:
        builtins.__import__ = real
        active = False
    assert not seen
    assert set(sys.modules) == modules


def plain(data: bytes) -> Any:
    return interpret(io.BytesIO(data))


@pytest.mark.parametrize("protocol", range(6))
def test_an_object_becomes_a_stub_with_its_state(protocol: int) -> None:
    stub = plain(pickle.dumps(Arguments(2e-5, Strategy.STEPS), protocol=protocol))
    assert isinstance(stub, Stub)
    assert stub.name in {"Arguments", "_reconstructor"}
    assert stub.state["learning_rate"] == 2e-5
    assert stub.state["strategy"].args in {("steps",), ("STEPS",)}


@pytest.mark.parametrize("protocol", range(6))
def test_containers_and_numpy_scalars_become_plain_values(protocol: int) -> None:
    saved = {
        "ordered": collections.OrderedDict(a=1) if protocol >= 2 else {"a": 1},
        "nested": [(1, -2.5), None, True, "ü" * 300, 2**62],
        "rate": np.float64(3e-4),
        "count": np.int32(7),
        "set": {5},
    }
    value = plain(pickle.dumps(saved, protocol=protocol))
    assert value == {**saved, "set": [5]}
    assert isinstance(value["rate"], float)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20)


@given(trees, st.integers(0, 5))
def test_plain_values_survive_unchanged(tree: Any, protocol: int) -> None:
    assert plain(pickle.dumps(tree, protocol=protocol)) == tree


def test_a_zip_file_and_a_legacy_file_give_the_same(tmp_path: Path) -> None:
    state = {"_last_lr": [0.001], "last_epoch": 7}
    legacy = tmp_path / "scheduler.pt"
    parts = (LEGACY_MAGIC, 1001, {"little_endian": True}, state, [])
    legacy.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts) + b"\0" * 64)
    assert read(legacy) == state == read(torch_zip(tmp_path / "new.pt", pickle.dumps(state)))


def test_a_big_legacy_file_is_read_from_its_start_only(tmp_path: Path) -> None:
    path = tmp_path / "optimizer.pt"
    with path.open("wb") as file:
        for part in (LEGACY_MAGIC, 1001, {}, {"lr": 1e-3}, ["0"]):
            pickle.dump(part, file, protocol=2)
        file.truncate(3 << 30)
    tracemalloc.start()
    assert read(path) == {"lr": 1e-3}
    assert tracemalloc.get_traced_memory()[1] < 4 * LIMITS.pickle_bytes
    tracemalloc.stop()


def memo_bomb() -> bytes:
    return b"\x80\x02]q\x00" + b"".join(b"]q" + bytes([n + 1]) + b"(" + (b"h" + bytes([n])) * 10 + b"e" for n in range(40)) + b"."


HOSTILE = {
    "os.system": lambda canary: pickle.dumps(Call(os.system, f"touch {canary}")),
    "eval": lambda canary: pickle.dumps(Call(eval, f"open({str(canary)!r}, 'w')")),
    "exec": lambda canary: pickle.dumps(Call(exec, f"open({str(canary)!r}, 'w').close()")),
    "popen": lambda canary: pickle.dumps(Call(subprocess.Popen, ["touch", str(canary)])),
    "import of an unknown module": lambda canary: b"cthis_module_is_not_there\nboom\n(V" + str(canary).encode() + b"\ntR.",
    "import of a module not yet loaded": lambda _: b"\x80\x04\x8c\x04this\x8c\x01s\x93.",
    "inst": lambda canary: b"(S'touch " + str(canary).encode() + b"'\nios\nsystem\n.",
    "obj": lambda canary: b"(cos\nsystem\nV touch " + str(canary).encode() + b"\no.",
    "build calling __setstate__": lambda canary: b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00touch\x85R}U\x01aU\x01xsb.",
    "getattr chain": lambda canary: b"\x80\x02cbuiltins\ngetattr\ncos\nsystem\nX\x08\x00\x00\x00__call__\x86RX\x04\x00\x00\x00true\x85R.",
    "extension registry": lambda _: b"\x80\x02\x82\x01.",
    "persistent id": lambda _: b"\x80\x02X\x03\x00\x00\x00abcQ.",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "zip"])
def test_nothing_is_imported_or_called(name: str, wrapped: bool, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "training_args.bin"
    data = HOSTILE[name](canary)
    if wrapped:
        torch_zip(path, data)
    else:
        path.write_bytes(data)
    read(path)
    with no_code_runs():
        value = read(path)
    assert isinstance(value, Stub | Fault)
    assert not canary.exists()


def test_the_guard_itself_sees_a_loaded_pickle(tmp_path: Path) -> None:
    data = HOSTILE["exec"](tmp_path / "canary")

    def load_it() -> None:
        with no_code_runs():
            pickle.loads(data)

    with pytest.raises(AssertionError):
        load_it()
    assert (tmp_path / "canary").exists()


REFUSED = {
    "memo bomb": memo_bomb(),
    "cycle": b"\x80\x02]q\x00h\x00a.",
    "deep lists": b"\x80\x02" + b"]" * 500 + b"a" * 499 + b".",
    "deep tuples": b"\x80\x02N" + b"\x85" * 100_000 + b".",
    "deep marks": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
    "huge memo index": b"\x80\x02]r\xff\xff\xff\xff.",
    "huge text memo index": b"]p" + b"9" * 4000 + b"\n.",
    "absent memo index": b"\x80\x02h\x07.",
    "huge integer": b"\x80\x02\x8b" + struct.pack("<i", 100_000) + b"\x7f" * 100_000 + b".",
    "huge decimal integer": b"L" + b"9" * 100_000 + b"L\n.",
    "string longer than the file": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "frame longer than the file": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    "bytes longer than memory": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "colliding keys": b"\x80\x02}(" + b"".join(b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little") + b"N" for n in range(1000)) + b"u.",
    "tuple key": b"\x80\x02})Ns.",
    "unhashable key": b"\x80\x02}]Ns.",
    "key without a value": b"\x80\x02}(Nu.",
    "append to a number": b"\x80\x02K\x01K\x02a.",
    "state for a number": b"\x80\x02K\x01}b.",
    "call of a value": b"\x80\x02K\x01)R.",
    "pop of nothing": b"0.",
    "no mark": b"\x80\x02]e.",
    "two values left": b"\x80\x02K\x01K\x02.",
    "nothing left": b"\x80\x02.",
    "unknown opcode": b"\x80\x02\xfe.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "a future protocol without STOP": b"\x80\xff",
    "empty": b"",
    "zeros": b"\0" * 4096,
    "many opcodes": b"\x80\x02" + b"N0" * 1_000_000 + b"N.",
    "many values": b"\x80\x02](" + b"N" * 300_000 + b"e.",
}


@pytest.mark.parametrize("name", REFUSED)
def test_odd_pickles_are_refused_quickly(name: str) -> None:
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(PickleRefused):
        plain(REFUSED[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 << 20
    assert time.process_time() - started < 20


def test_a_reused_argument_is_not_copied() -> None:
    """A list memoized once and turned into a set many times must not cost the list's length each time."""
    many = b"\x80\x02]q\x00(" + b"N" * 50_000 + b"e(" + b"cbuiltins\nset\nh\x00\x85R" * 20_000 + b"t\x86."
    tracemalloc.start()
    with pytest.raises(PickleRefused, match="values"):
        plain(many)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


@given(st.data())
def test_damage_is_refused_or_read_but_never_escapes(data: st.DataObject) -> None:
    whole = pickle.dumps({"args": [1, 2.5, "steps"], "state": collections.OrderedDict(a=Strategy.STEPS)}, protocol=2)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(st.sampled_from((whole[:at], whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :])))
    try:
        plain(damaged)
    except PickleRefused as error:
        assert str(error)  # noqa: PT017


def faulty(path: Path) -> Fault:
    value = read(path, replace(LIMITS, pickle_bytes=64 << 10))
    assert isinstance(value, Fault)
    assert value.kind == "unreadable-settings"
    return value


def test_zip_bombs_are_refused_before_they_are_read(tmp_path: Path) -> None:
    big = pickle.dumps("a" * (100 << 10))
    assert "declares" in faulty(torch_zip(tmp_path / "declared.bin", big, zipfile.ZIP_DEFLATED)).detail
    assert "never writes" in faulty(torch_zip(tmp_path / "lzma.bin", pickle.dumps("a"), zipfile.ZIP_LZMA)).detail
    lying = torch_zip(tmp_path / "lying.bin", big, zipfile.ZIP_DEFLATED)
    lying.write_bytes(lying.read_bytes().replace(struct.pack("<L", len(big)), struct.pack("<L", 50)))
    faulty(lying)


def test_a_directory_that_declares_millions_of_entries_is_refused(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "many.bin", pickle.dumps(1))
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\x05\x06")
    data[end + 12 : end + 16] = struct.pack("<L", 0xFFFFFFF0)
    path.write_bytes(data)
    assert "entries" in faulty(path).detail


def test_archives_that_torch_does_not_write(tmp_path: Path) -> None:
    none, two, cut = tmp_path / "none.bin", tmp_path / "two.bin", tmp_path / "cut.bin"
    with zipfile.ZipFile(none, "w") as archive:
        archive.writestr("readme", "hello")
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(1))
        archive.writestr("b/data.pkl", pickle.dumps(2))
    cut.write_bytes(torch_zip(tmp_path / "whole.bin", pickle.dumps(1)).read_bytes()[:-30])
    assert "0 data.pkl" in faulty(none).detail
    assert "2 data.pkl" in faulty(two).detail
    assert "cut off" in faulty(cut).detail


def test_every_cut_of_a_zip_file_is_a_fault(tmp_path: Path) -> None:
    whole = torch_zip(tmp_path / "whole.bin", pickle.dumps({"lr": 1.0})).read_bytes()
    path = tmp_path / "cut.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        faulty(path)


def test_every_flipped_bit_of_a_zip_file_is_a_fault_or_harmless(tmp_path: Path) -> None:
    whole = torch_zip(tmp_path / "whole.bin", pickle.dumps({"lr": 0.25}, protocol=2)).read_bytes()
    path = tmp_path / "flipped.bin"
    for bit in range(0, 8 * len(whole), 5):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        value = read(path)
        assert isinstance(value, Fault) or value == {"lr": 0.25}, bit


def test_things_that_are_not_files(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "not a regular file" in faulty(fifo).detail
    faulty(tmp_path)
    faulty(tmp_path / "absent")
    pointer = tmp_path / "pointer"
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
    value = read(pointer)
    assert isinstance(value, Fault)
    assert (value.kind, "git lfs pull" in value.detail) == ("lfs-pointer", True)
