"""What a directory holds, and what is never opened."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from lossdoctor.limits import Limits
from lossdoctor.model import Loss
from lossdoctor.sources.discover import Found, discover, wandb_home

STATE = json.dumps({"global_step": 2, "log_history": [{"loss": 1.5, "step": 1}, {"loss": 1.25, "step": 2}]})


def put(root: Path, name: str, content: str | bytes = STATE) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def reasons(found: Found) -> dict[str, str]:
    return {path.name: reason for path, reason in found.ignored}


@pytest.mark.parametrize(
    "name",
    ["trainer_state.json", "chechpoint-170/trainer_state.json", "checkpoint 5/trainer_state_first.json", "modèle/状态/trainer_state.json"],
)
def test_states_are_found_under_any_name(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name)
    assert discover(tmp_path).states == [path]


def test_a_file_argument_of_any_name_is_told_by_its_content(tmp_path: Path) -> None:
    assert discover(put(tmp_path, "whatever.bin")).states
    assert discover(put(tmp_path, "table.data", "step,loss\n1,2.5\n2,2.4\n")).tables
    assert discover(put(tmp_path, "rows.data", '{"step": 1, "loss": 2.5}\n')).json_lines
    (fault,) = discover(put(tmp_path, "noise.bin", b"\x01\x02\x03" * 50)).faults
    assert (fault.kind, fault.loss) == ("unknown-format", Loss.FATAL)


def test_what_stands_for_a_log_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a/trainer_state.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    put(tmp_path, "b/trainer_state.json", b"")
    put(tmp_path, "train.log", b"")
    put(tmp_path, "._trainer_state.json")
    found = discover(tmp_path)
    assert sorted(fault.kind for fault in found.faults) == ["empty-file", "lfs-pointer"]
    assert reasons(found) == {"train.log": "the file is empty", "._trainer_state.json": "a macOS resource fork"}
    assert not found.states


def test_links_are_never_followed_out_of_the_directory_nor_in_circles(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside/trainer_state.json")
    root = tmp_path / "root"
    put(root, "run/trainer_state.json")
    (root / "escape").symlink_to(outside.parent)
    (root / "trainer_state.json").symlink_to(outside)
    (root / "run/loop").symlink_to(root)
    (root / "itself").symlink_to("itself")
    (root / "nothing").symlink_to("not-there")
    (root / "again.json").symlink_to(root / "run/trainer_state.json")
    found = discover(root)
    assert found.states == [root / "run/trainer_state.json"]
    assert not found.faults
    assert reasons(found) == {
        "escape": "a link that leads out of the directory",
        "trainer_state.json": "a link that leads out of the directory",
        "loop": "a link to a place that is read anyway",
        "itself": "a link to nothing",
        "nothing": "a link to nothing",
        "again.json": "a link to a place that is read anyway",
    }


def test_a_sibling_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    outside = put(tmp_path, "run-2/blob")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/trainer_state.json").symlink_to(outside)
    assert not discover(tmp_path / "run").states


def test_the_hubs_cache_holds_its_files_under_hashes(tmp_path: Path) -> None:
    blob = put(tmp_path, "blobs/0a1b2c")
    link = tmp_path / "snapshots/main/trainer_state.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert discover(tmp_path).states == [link]


def test_pipes_sockets_and_devices_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trainer_state.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "events.out.tfevents.1"))
        found = discover(tmp_path)
        assert reasons(found) == {"trainer_state.json": "not a regular file", "events.out.tfevents.1": "not a regular file"}
        (fault,) = discover(tmp_path / "trainer_state.json").faults
        assert (fault.detail, fault.loss) == ("not a regular file", Loss.FATAL)


def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/run-\xff\xfe")
    Path(directory).mkdir()
    put(Path(directory), "trainer_state.json")
    assert len(discover(tmp_path).states) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_places_are_faults(tmp_path: Path) -> None:
    put(tmp_path, "closed/trainer_state.json")
    put(tmp_path, "train.log", "step 1: loss 2.5\n").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        assert sorted(fault.kind for fault in discover(tmp_path).faults) == ["unreadable", "unreadable"]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_bounds_are_said(tmp_path: Path) -> None:
    put(tmp_path, "a/b/c/trainer_state.json")
    assert [fault.kind for fault in discover(tmp_path, Limits(directory_depth=2)).faults] == ["too-deep"]
    assert [fault.kind for fault in discover(tmp_path, Limits(directory_entries=2)).faults] == ["too-many-files"]
    assert not discover(tmp_path).faults


def test_event_files_without_their_usual_name(tmp_path: Path) -> None:
    from lossdoctor.sources.tensorboard.crc import HEADER

    tensorboard = pytest.importorskip("tensorboardX")
    with tensorboard.SummaryWriter(str(tmp_path / "logs")) as writer:
        writer.add_scalar("loss", 2.5, 1)
    (file,) = (tmp_path / "logs").iterdir()
    assert file.stat().st_size > HEADER
    plain = file.rename(tmp_path / "events")
    assert discover(tmp_path).events == [plain]


@pytest.mark.parametrize("mark", ["wandb-summary.json", "wandb-metadata.json", "config.yaml"])
def test_a_wandb_run_is_known_by_what_is_left_of_it(tmp_path: Path, mark: str) -> None:
    path = put(tmp_path, f"wandb/run-20240101_120000-abc/files/{mark}", "{}")
    assert discover(tmp_path).wandb == [path]
    assert wandb_home(path) == path.parent.parent
    assert wandb_home(tmp_path) == tmp_path


def test_a_console_log_with_bars_is_no_table(tmp_path: Path) -> None:
    bar = "".join(f"Epoch: [{epoch}/10] Loss: {10 - epoch}.87 Acc: 0.00%: 100%|#####| 3/3 [00:03<00:00]\n" for epoch in range(3))
    assert not discover(put(tmp_path, "files/output.log", bar)).tables
    assert not discover(put(tmp_path, "train.log", bar)).tables


def test_names_that_say_nothing_are_opened_where_no_other_does(tmp_path: Path) -> None:
    rows = "".join(f"epoch {k} | train_loss={2 / k} valid_loss={2.1 / k}\n" for k in range(1, 6))
    (tmp_path / "notes.txt").write_text("buy milk\n")
    (tmp_path / "console.txt").write_text(rows)
    assert [path.name for path in discover(tmp_path).texts] == ["console.txt"]
    (tmp_path / "train.log").write_text(rows)
    assert [path.name for path in discover(tmp_path).texts] == ["train.log"]
