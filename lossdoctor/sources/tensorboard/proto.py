"""The protobuf messages of an event file, declared in code: TensorFlow's field numbers, without TensorFlow or TensorBoard.

Sources: tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto, tensorboard/plugins/hparams/plugin_data.proto.
Strings are declared as bytes, so that one tag that is not UTF-8 costs its own point and not the parse; payloads that hold no scalar
(images, histograms, graphs) are declared as opaque bytes, so that they are not parsed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

SCHEMA = {
    "Event": (
        "1 double wall_time",
        "2 int64 step",
        "3 bytes file_version what",
        "4 bytes graph_def what",
        "5 Summary summary what",
        "6 bytes log_message what",
        "7 SessionLog session_log what",
        "8 bytes tagged_run_metadata what",
        "9 bytes meta_graph_def what",
    ),
    "SessionLog": ("1 int32 status",),
    "Summary": ("1 Value* value",),
    "Value": (
        "1 bytes tag",
        "2 float simple_value value",
        "3 bytes old_histogram value",
        "4 bytes image value",
        "5 bytes histogram value",
        "6 bytes audio value",
        "8 Tensor tensor value",
        "9 Metadata metadata",
    ),
    "Metadata": ("1 PluginData plugin_data",),
    "PluginData": ("1 bytes plugin_name", "2 bytes content"),
    "Tensor": (
        "1 int32 dtype",
        "2 Shape shape",
        "4 bytes tensor_content",
        "5 float* float_val",
        "6 double* double_val",
        "7 int32* int_val",
        "8 bytes* string_val",
        "10 int64* int64_val",
        "11 bool* bool_val",
        "13 int32* half_val",
        "16 uint32* uint32_val",
        "17 uint64* uint64_val",
    ),
    "Shape": ("2 Dim* dim", "3 bool unknown_rank"),
    "Dim": ("1 int64 size",),
    "HParams": ("3 SessionStart session_start_info",),
    "SessionStart": ("1 HParam* hparams",),
    "HParam": ("1 bytes key", "2 Json value"),
    "Json": ("2 double number kind", "3 bytes string kind", "4 bool truth kind", "5 bytes struct kind", "6 bytes list kind"),
}
PACKAGE = "lossdoctor.events"


class Messages(NamedTuple):
    """The two message classes that are parsed from bytes, and what they raise on bytes that are none."""

    event: Any
    hparams: Any
    error: type[Exception]


@cache
def messages() -> Messages:
    """Build the classes in a descriptor pool of their own (nothing can clash with TensorFlow's), once."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    file = descriptor_pb2.FileDescriptorProto(name="lossdoctor/events.proto", package=PACKAGE, syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _declare(message, text)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    event, hparams = (message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in ("Event", "HParams"))
    return Messages(event, hparams, DecodeError)


def _declare(message: Any, text: str) -> None:
    """Add the field that `text` describes: number, type (`*` for repeated), name and, where it belongs to one, its oneof."""
    number, kind, name, *choice = text.split()
    field = message.field.add(name=name, number=int(number))
    field.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in SCHEMA:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    if choice:
        names = [oneof.name for oneof in message.oneof_decl]
        if choice[0] not in names:
            message.oneof_decl.add(name=choice[0])
            names.append(choice[0])
        field.oneof_index = names.index(choice[0])
