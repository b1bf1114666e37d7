"""Files of the real writers, and of ours, against TensorBoard's reader and tbparse."""

from __future__ import annotations

import importlib.util
import math
import random
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboardX import SummaryWriter

from lossdoctor.sources.tensorboard import EventFile, read_file

from .oracles import accumulator, by_step, by_tbparse, ours, same
from .writer import event, field, histogram, image, record, scalar, simple, tensor, text, version, write

ODD_VALUES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, 3.4e38, 1e-4)


def assert_exact(path: Path) -> EventFile:
    """Equal, point for point and bit for bit, to both oracles."""
    file = read_file(path)
    assert same(ours(file), accumulator(path))
    assert same(by_step(ours(file)), by_step(by_tbparse(path)))
    assert file.faults == ()
    return file


def proto_file(path: Path, events: list[Event]) -> Path:
    path.write_bytes(version() + b"".join(record(e.SerializeToString()) for e in events))
    return path


def summary(step: int, *values: Summary.Value) -> Event:
    return Event(wall_time=1.7e9 + step / 3, step=step, summary=Summary(value=values))


def plugin(name: str) -> SummaryMetadata:
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=name))


def test_our_writer_writes_what_protobuf_writes() -> None:
    wall, step = 1.7e9 + 0.25, 300
    plain = Event(wall_time=wall, step=step, summary=Summary(value=[Summary.Value(tag="train/loss", simple_value=0.1)]))
    assert event(wall, step, field(5, simple(b"train/loss", 0.1))) == plain.SerializeToString()
    number = TensorProto(dtype=1, tensor_shape=TensorShapeProto(), tensor_content=np.float32(0.1).tobytes())
    modern = summary(0, Summary.Value(tag="loss", tensor=number, metadata=plugin("scalars")))
    assert event(1.7e9, 0, field(5, tensor(b"loss", 0.1))) == modern.SerializeToString()
    words = TensorProto(dtype=7, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]), string_val=[b"{}"])
    note = summary(3, Summary.Value(tag="args", tensor=words, metadata=plugin("text")))
    assert event(1.7e9 + 1, 3, field(5, text(b"args", b"{}"))) == note.SerializeToString()


def test_the_files_of_the_benchmark(tmp_path: Path) -> None:
    place = Path(__file__).parents[2] / "benchmarks" / "tensorboard_files.py"
    spec = importlib.util.spec_from_file_location("tensorboard_files", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for kind in module.FILES:
        path = tmp_path / "events.out.tfevents.1.h"
        module.write(path, kind, 0.02)
        assert same(ours(read_file(path)), accumulator(path)), kind


def test_tensorboardx(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    for step in range(400):
        writer.add_scalar("train/loss", 2.5 / (step + 1), step)
        if step % 50 == 0:
            writer.add_scalar("eval/loss", ODD_VALUES[step // 50], step)
            writer.add_histogram("weights", np.arange(50.0), step)
    writer.add_text("args", '{"learning_rate": 0.001}')
    writer.close()
    (path,) = tmp_path.iterdir()
    file = assert_exact(path)
    assert file.points == 408
    assert file.texts == {"args/text_summary": ['{"learning_rate": 0.001}']}
    assert file.others["histogram"] == 8


def test_torch_style_tensors(tmp_path: Path) -> None:
    """torch's add_scalar(new_style=True): float_val, and double_val for double_precision=True."""
    events = []
    for step in range(300):
        single = TensorProto(dtype=1, float_val=[ODD_VALUES[step % 8]])
        double = TensorProto(dtype=2, double_val=[0.1 * step])
        events.append(summary(step, Summary.Value(tag="loss", tensor=single, metadata=plugin("scalars"))))
        events.append(summary(step, Summary.Value(tag="lr", tensor=double, metadata=plugin("scalars"))))
    file = assert_exact(proto_file(tmp_path / "events.out.tfevents.1.h", events))
    assert file.scalars["lr"].values[3] == 0.1 * 3


def test_tf2_style_tensors_and_every_number_type(tmp_path: Path) -> None:
    numbers = [np.float32(0.1), np.float64(0.1), np.int32(-7), np.uint8(200), np.int16(-300), np.int8(-5), np.int64(1 << 40)]
    numbers += [np.bool_(True), np.uint16(60000), np.float16(0.1), np.uint32(1 << 31), np.uint64(1 << 60)]
    raw = dict(zip((1, 2, 3, 4, 5, 6, 9, 10, 17, 19, 22, 23), numbers, strict=True))
    values = [
        Summary.Value(tag=f"{kind}", tensor=TensorProto(dtype=kind, tensor_content=value.tobytes()), metadata=plugin("scalars"))
        for kind, value in raw.items()
    ]
    events = [summary(step, value) for step in range(3) for value in values]
    file = assert_exact(proto_file(tmp_path / "events.out.tfevents.1.h", events))
    assert {tag: column.values[0] for tag, column in file.scalars.items()} == {str(kind): float(value) for kind, value in raw.items()}


def test_lists_of_small_types_hold_bit_patterns(tmp_path: Path) -> None:
    half = TensorProto(dtype=19, half_val=[int(np.float16(0.1).view(np.uint16))])
    brain = TensorProto(dtype=14, half_val=[0x3F80])
    raw = TensorProto(dtype=14, tensor_content=b"\xc0\x3f")
    values = [
        Summary.Value(tag=tag, tensor=t, metadata=plugin("scalars")) for tag, t in (("half", half), ("bfloat16", brain), ("raw", raw))
    ]
    file = read_file(proto_file(tmp_path / "events.out.tfevents.1.h", [summary(1, *values)]))
    assert [column.values[0] for column in file.scalars.values()] == [float(np.float16(0.1)), 1.0, 1.5]


def test_tf1_merged_summaries(tmp_path: Path) -> None:
    events = [summary(s, *(Summary.Value(tag=f"m{i}", simple_value=s * i + 0.1) for i in range(10))) for s in range(200)]
    events += [summary(s, *(Summary.Value(tag="twice", simple_value=v) for v in (1.0, 2.0))) for s in range(60)]
    file = assert_exact(proto_file(tmp_path / "events.out.tfevents.1.h", events))
    assert file.points == 2120
    assert file.scalars["twice"].values.tolist() == [1.0, 2.0] * 60


def test_steps_of_every_size_keep_their_order(tmp_path: Path) -> None:
    steps = [0, 1, 127, 128, 16383, 16384, 1 << 21, 1 << 28, 1 << 35, 1 << 49, (1 << 56) - 1, 1 << 56, (1 << 63) - 1, -1, -(1 << 63), 5]
    path = write(tmp_path / "events.out.tfevents.1.h", *(scalar(1e9 + i, step, "x", i) for i, step in enumerate(steps * 60)))
    file = assert_exact(path)
    assert file.scalars["x"].steps.tolist() == steps * 60


def test_session_starts_are_kept(tmp_path: Path) -> None:
    start = Event(wall_time=5.0, step=100, session_log=SessionLog(status=SessionLog.START))
    stop = Event(wall_time=6.0, step=100, session_log=SessionLog(status=SessionLog.STOP))
    file = read_file(proto_file(tmp_path / "events.out.tfevents.1.h", [summary(90, Summary.Value(tag="a", simple_value=1)), start, stop]))
    assert [(s.step, s.time) for s in file.starts] == [(100, 5.0)]
    assert file.others == {"session log": 1}


@pytest.mark.parametrize("tags", [3, 70])
def test_a_mixed_file(tmp_path: Path, tags: int) -> None:
    """All kinds of records between each other, tags of many lengths in random order, backward steps."""
    rng = random.Random(tags)
    names = [f"{'layer/' * (i % 5)}m{i}".encode() for i in range(tags)]
    parts = []
    for i in range(6000):
        kind = rng.random()
        tag = rng.choice(names)
        if kind < 0.02:
            value = histogram(tag + b"/h", rng) if kind < 0.01 else image(b"i", rng)
        elif kind < 0.03:
            value = text(b"note", b"step %d" % i)
        else:
            value = simple(tag, rng.gauss(0, 1)) if len(tag) % 2 else tensor(tag, rng.gauss(0, 1))
        parts.append(record(event(1.7e9 + i, i // 3 - (i > 4000) * 500, field(5, value))))
    file = assert_exact(write(tmp_path / "events.out.tfevents.1.h", *parts))
    assert file.records == 6001


def test_a_tag_that_repeats_another_tags_records(tmp_path: Path) -> None:
    """Scalars under other plugins, rank-1 tensors and unknown types are no scalars."""
    vector = TensorProto(dtype=1, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=2)]), float_val=[1, 2])
    values = [
        Summary.Value(tag="curve", tensor=TensorProto(dtype=1, float_val=[1]), metadata=plugin("pr_curves")),
        Summary.Value(tag="vector", tensor=vector),
        Summary.Value(tag="plain", tensor=TensorProto(dtype=1, float_val=[3])),
    ]
    file = read_file(proto_file(tmp_path / "events.out.tfevents.1.h", [summary(s, v) for s in range(100) for v in values]))
    assert list(file.scalars) == ["plain"]
    assert file.others == {"pr_curves": 100, "tensor": 100}
    assert file.faults == ()


def test_a_scalar_tensor_without_one_number_is_a_fault(tmp_path: Path) -> None:
    bad = Summary.Value(tag="bad", tensor=TensorProto(dtype=1), metadata=plugin("scalars"))
    file = read_file(
        proto_file(tmp_path / "events.out.tfevents.1.h", [summary(1, bad), summary(2, Summary.Value(tag="good", simple_value=1))])
    )
    assert [fault.kind for fault in file.faults] == ["bad-record"]
    assert list(file.scalars) == ["good"]
