"""Which checkpoints there are, whole or not, and what damage to each kind of file is told."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossdoctor.limits import LIMITS
from lossdoctor.model import Checkpoint
from lossdoctor.sources.checkpoints import find, newest_whole

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n"
LEGACY = b"".join(pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, {}, []))
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}


def write_safetensors(path: Path, tensors: dict[str, tuple[str, bytes, Sequence[int]]]) -> Path:
    """A file as the format's specification has it: 8 bytes of length, the JSON header, the data."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, data, shape) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, data, _ in tensors.values()))
    return path


def floats(values: Sequence[float], dtype: str = "F32") -> tuple[str, bytes, Sequence[int]]:
    if dtype == "BF16":
        data = (np.asarray(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    else:
        data = np.asarray(values, DTYPES[dtype]).tobytes()
    return dtype, data, [len(values)]


def write_torch(path: Path, size: int = 4096) -> Path:
    """An archive laid out as torch.save lays one out, its data not compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"w": 1}, protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", random.Random(3).randbytes(size))
        archive.writestr("archive/version", "3\n")
    return path


def write_checkpoint(directory: Path, step: int, *, weights: bool = True) -> Path:
    directory.mkdir(parents=True)
    state = {"best_metric": None, "epoch": 1.0, "global_step": step, "log_history": [{"loss": 1.0, "step": step}], "max_steps": 100}
    (directory / "trainer_state.json").write_text(json.dumps(state, indent=2) + "\n")
    (directory / "training_args.bin").write_bytes(b"not looked at here")
    if weights:
        write_safetensors(directory / "model.safetensors", {"a.weight": floats([1.0, -2.0]), "b.bias": floats([0.5], "BF16")})
        write_torch(directory / "optimizer.pt")
        write_torch(directory / "scheduler.pt", 10)
    return directory


def only(directory: Path, *, check_weights: bool = False) -> Checkpoint:
    (checkpoint,), _ = find(directory, check_weights=check_weights)
    return checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "checkpoint-500", 500)


def test_an_output_directory_gives_its_checkpoints_by_step(tmp_path: Path) -> None:
    for step in (1000, 500, 90):
        write_checkpoint(tmp_path / f"checkpoint-{step}", step)
    write_checkpoint(tmp_path / "run" / "chechpoint-170", 170)
    (tmp_path / "runs").mkdir()
    found, faults = find(tmp_path)
    assert [(c.step, c.whole, c.resumable, c.problem, c.weights_finite) for c in found] == [
        (step, True, True, None, None) for step in (90, 170, 500, 1000)
    ]
    assert faults == ()


def test_one_checkpoint_given_directly(checkpoint: Path) -> None:
    assert only(checkpoint) == Checkpoint(500, str(checkpoint), whole=True, resumable=True, has_weights=True)


def test_weights_beside_checkpoints_are_no_checkpoint_unless_a_state_dates_them(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint-5", 5)
    write_safetensors(tmp_path / "model.safetensors", {"w": floats([1.0])})
    assert [c.step for c in find(tmp_path)[0]] == [5]
    (tmp_path / "trainer_state.json").write_text('{"global_step": 9, "log_history": []}')
    assert [c.step for c in find(tmp_path)[0]] == [5, 9]


def test_damage_to_the_final_model_is_told(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint-5", 5)
    write_safetensors(tmp_path / "model.safetensors", {"w": floats([1.0, 2.0])})
    os.truncate(tmp_path / "model.safetensors", 90)
    found, faults = find(tmp_path)
    assert [c.whole for c in found] == [True]
    assert [fault.kind for fault in faults] == ["damaged-weights"]


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ('{"global_step": 7, "log_history": [{"global_step": 3}]}', 7),
        (
            '{"best_global_step": 4, "log_history": [' + ",".join('{"loss": 1.0, "step": 1}' for _ in range(9000)) + '], "global_step": 7}',
            7,
        ),
        ('{"best_global_step": 4, "log_history": [', 500),
        ("", 500),
    ],
    ids=["head", "tail", "cut", "empty"],
)
def test_the_step_is_the_states_then_the_names(checkpoint: Path, state: str, step: int) -> None:
    (checkpoint / "trainer_state.json").write_text(state)
    assert only(checkpoint).step == step


def test_a_state_alone_says_nothing_of_the_weights(tmp_path: Path) -> None:
    found = only(write_checkpoint(tmp_path / "checkpoint-3", 3, weights=False))
    assert (found.whole, found.resumable, found.problem) == (None, False, None)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "trainer_state.json"])
def test_what_a_resume_needs(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    found = only(checkpoint)
    assert (found.whole, found.resumable) == (True, False)


def test_a_deepspeed_optimizer_is_resumable(checkpoint: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt"):
        (checkpoint / name).unlink()
    (checkpoint / "global_step500").mkdir()
    write_torch(checkpoint / "global_step500" / "mp_rank_00_model_states.pt")
    assert only(checkpoint).resumable is True


def test_checkpoints_that_are_one_file(tmp_path: Path) -> None:
    home = tmp_path / "version_0" / "checkpoints"
    home.mkdir(parents=True)
    for name in ("epoch=1-step=400.ckpt", "epoch=3-step=800-v1.ckpt", "iter_0001200.pt", "last.ckpt"):
        write_torch(home / name)
    os.truncate(home / "epoch=3-step=800-v1.ckpt", 2000)
    found, _ = find(tmp_path)
    assert [(c.step, c.whole, c.resumable) for c in found] == [(400, True, None), (800, False, None), (1200, True, None)]
    assert "cut off" in str(found[1].problem)


def cut(name: str, keep: int | None = None) -> Callable[[Path], object]:
    def damage(home: Path) -> None:
        path = home / name
        os.truncate(path, path.stat().st_size - 1 if keep is None else keep)

    return damage


def put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda home: (home / name).write_bytes(data)


HUGE = struct.pack("<Q", 2**63) + b"{}"
HOLE = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
WRONG = b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "one byte short": (cut("model.safetensors"), "cut off"),
    "cut in the header": (cut("model.safetensors", 40), "ends inside its header"),
    "empty": (cut("model.safetensors", 0), "only 0 bytes"),
    "zeros": (put("model.safetensors", bytes(4096)), "zeros"),
    "header of 2^63 bytes": (put("model.safetensors", HUGE), "more than the limit"),
    "header is no JSON": (put("model.safetensors", struct.pack("<Q", 8) + b"[[[[[[[["), "header is damaged"),
    "header nested deep": (put("model.safetensors", struct.pack("<Q", 90_000) + b"[" * 90_000), "header is damaged"),
    "hole before a tensor": (put("model.safetensors", struct.pack("<Q", len(HOLE)) + HOLE + bytes(8)), "hole or an overlap"),
    "shape and size differ": (put("model.safetensors", struct.pack("<Q", len(WRONG)) + WRONG + bytes(4)), "does not fit its shape"),
    "bytes behind the data": (lambda home: (home / "model.safetensors").open("ab").write(b"x"), "more than the header"),
    "torch archive cut": (lambda home: (write_torch(home / "pytorch_model.bin"), cut("pytorch_model.bin", 3000)(home)), "cut off"),
    "torch archive of zeros": (put("pytorch_model.bin", bytes(5000)), "zeros"),
    "torch archive empty": (put("pytorch_model.bin", b""), "empty file"),
    "not torch": (put("pytorch_model.bin", b"<html>404</html>"), "not a file of torch.save"),
    "index of a missing shard": (put("model.safetensors.index.json", b'{"weight_map": {"a": "model-2.safetensors"}}'), "1 of 1 shards"),
    "index cut": (put("model.safetensors.index.json", b'{"weight_map": {"a": "mod'), "index.json is damaged"),
    "shard of an unindexed set": (put("model-00001-of-00003.safetensors", b""), "2 of 3 shards are missing"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", BROKEN)
def test_broken_weights_are_named(checkpoint: Path, name: str) -> None:
    damage, problem = BROKEN[name]
    damage(checkpoint)
    found = only(checkpoint)
    assert found.whole is False
    assert found.resumable is False
    assert problem in str(found.problem)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt"])
def test_a_broken_optimizer_costs_the_resume_and_not_the_weights(checkpoint: Path, name: str) -> None:
    cut(name, 100)(checkpoint)
    found = only(checkpoint)
    assert (found.whole, found.resumable) == (True, False)
    assert name in str(found.problem)


def test_a_half_written_state_costs_the_resume(checkpoint: Path) -> None:
    cut("trainer_state.json", 60)(checkpoint)
    found = only(checkpoint)
    assert (found.whole, found.resumable) == (True, False)
    assert "trainer_state.json is cut off" in str(found.problem)


def test_a_save_that_never_finished(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "tmp-checkpoint-7", 7)
    (tmp_path / "checkpoint-9").mkdir()
    found, _ = find(tmp_path)
    assert [(c.step, c.whole, c.resumable) for c in found] == [(7, False, False), (9, False, False)]
    assert newest_whole(found) is None


def test_lfs_pointers_are_not_called_corrupt(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(POINTER)
    (found,), (fault,) = find(checkpoint)
    assert (found.whole, found.resumable) == (None, False)
    assert fault.kind == "lfs-pointer"
    assert "git lfs pull" in fault.detail


def test_formats_that_do_not_tell(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(LEGACY)
    assert only(checkpoint).whole is None


def test_files_that_are_no_weights_are_passed_over(checkpoint: Path) -> None:
    (checkpoint / "vocabulary.bin").write_bytes(b"a vocabulary")
    (checkpoint / "rng_state.pth").write_bytes(b"")
    (checkpoint / "._model.safetensors").write_bytes(b"")
    assert only(checkpoint).whole is True


def test_a_complete_set_of_shards(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "model-00001-of-00002.safetensors")
    write_safetensors(checkpoint / "model-00002-of-00002.safetensors", {"c": floats([1.0])})
    names = {"a.weight": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 14}, "weight_map": names}))
    assert only(checkpoint).whole is True


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("value", [float("nan"), -float("nan"), float("inf"), -float("inf")])
def test_one_bad_weight_is_found_and_named(checkpoint: Path, dtype: str, value: float) -> None:
    values = np.linspace(-60_000, 60_000, 5000)
    values[4321] = value
    write_safetensors(checkpoint / "model.safetensors", {"good": floats([1.0]), "bad.weight": floats(list(values), dtype)})
    assert only(checkpoint).weights_finite is None
    found = only(checkpoint, check_weights=True)
    assert (found.whole, found.weights_finite) == (True, False)
    assert "1 of 2 tensors" in str(found.problem)
    assert "bad.weight" in str(found.problem)
    assert newest_whole([found]) is None


def test_extreme_finite_weights_are_finite(checkpoint: Path) -> None:
    tensors = {
        "f32": floats([3.4028234e38, -3.4028234e38, 1e-45, -0.0]),
        "f16": floats([65504.0, -65504.0], "F16"),
        "bf16": floats([3.3895314e38, -3.3895314e38], "BF16"),
        "f64": floats([1.7e308, -1.7e308], "F64"),
        "i64": floats([-1, 2**62], "I64"),
        "attention.mask": floats([-np.inf]),
        "empty": floats([]),
    }
    write_safetensors(checkpoint / "model.safetensors", tensors)
    assert only(checkpoint, check_weights=True).weights_finite is True


def test_eight_bit_floats_are_not_judged(checkpoint: Path) -> None:
    write_safetensors(checkpoint / "model.safetensors", {"w": ("F8_E4M3", b"\x7f", [1])})
    assert only(checkpoint, check_weights=True).weights_finite is None


def test_a_flipped_bit_in_a_torch_archive_needs_the_full_check(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    path = write_torch(checkpoint / "pytorch_model.bin")
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    assert only(checkpoint).whole is True
    found = only(checkpoint, check_weights=True)
    assert found.whole is False
    assert "CRC" in str(found.problem)


def test_progress_rises_to_the_total(checkpoint: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_torch(checkpoint.parent / "model-step=7.ckpt")
    find(checkpoint.parent, check_weights=True, progress=lambda done, total: calls.append((done, total)))
    done = [at for at, _ in calls]
    assert done == sorted(done)
    assert 0 < done[-1] <= calls[0][1]


def test_find_reads_no_weights(tmp_path: Path) -> None:
    directory = write_checkpoint(tmp_path / "checkpoint-1", 1)
    header = b'{"w":{"dtype":"F32","shape":[805306368],"data_offsets":[0,3221225472]}}'
    with (directory / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 3221225472)
    tracemalloc.start()
    assert only(directory).whole is True
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_newest_whole_before_an_onset() -> None:
    found = [
        Checkpoint(100, "a", whole=True),
        Checkpoint(200, "b", whole=True, weights_finite=False),
        Checkpoint(300, "c", whole=None),
        Checkpoint(400, "d", whole=True, weights_finite=True),
        Checkpoint(500, "e", whole=False),
    ]
    assert newest_whole(found) == found[3]
    assert newest_whole(found, before_step=400) == found[0]
    assert newest_whole(found, before_step=100) is None
    assert newest_whole([]) is None


def test_links_out_of_the_root_are_not_followed(tmp_path: Path) -> None:
    outside = write_checkpoint(tmp_path / "elsewhere" / "checkpoint-1", 1)
    root = tmp_path / "out"
    inside = write_checkpoint(root / "checkpoint-2", 2)
    (root / "checkpoint-3").symlink_to(outside, target_is_directory=True)
    (inside / "model.safetensors").unlink()
    (inside / "model.safetensors").symlink_to(outside / "model.safetensors")
    (root / "loop").symlink_to(root, target_is_directory=True)
    found, faults = find(root)
    assert [(c.step, c.whole) for c in found] == [(2, None)]
    assert {fault.kind for fault in faults} == {"link-out-of-root"}


def test_what_is_not_a_file(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    os.mkfifo(checkpoint / "model.safetensors")
    os.mkfifo(checkpoint / "pytorch_model.bin")
    assert only(checkpoint).whole is None


def test_no_directory(tmp_path: Path) -> None:
    found, faults = find(tmp_path / "absent")
    assert found == ()
    assert [fault.kind for fault in faults] == ["unreadable-directory"]


def test_too_many_entries(tmp_path: Path) -> None:
    for number in range(20):
        write_checkpoint(tmp_path / f"checkpoint-{number}", number, weights=False)
    _, faults = find(tmp_path, limits=replace(LIMITS, directory_entries=30))
    assert [fault.kind for fault in faults] == ["too-many-files"]


def test_every_cut_of_small_files_is_told(checkpoint: Path) -> None:
    whole = (checkpoint / "model.safetensors").read_bytes()
    for length in range(len(whole)):
        (checkpoint / "model.safetensors").write_bytes(whole[:length])
        assert only(checkpoint).whole is False, length


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_flipped_bits_never_escape(checkpoint: Path, name: str) -> None:
    (checkpoint / "model.safetensors").unlink(missing_ok=name != "model.safetensors")
    path = checkpoint / name
    if name == "pytorch_model.bin":
        write_torch(path, 64)
    else:
        write_safetensors(path, {"w": floats([1.0, 2.0])})
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 13):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        found = only(checkpoint, check_weights=True)
        assert found.whole is not False or found.problem, bit
