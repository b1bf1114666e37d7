"""The protobuf messages of a `.wandb` file, declared in code.

Only the fields that are read are declared (numbers from wandb_internal.proto, unchanged since 0.10), so that wandb need not be imported
(about half a second) and a release that drops its own module changes nothing here. Unknown fields are skipped by protobuf itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "bool": _Field.TYPE_BOOL,
    "string": _Field.TYPE_STRING,
}
_PACKAGE = "lossdoctor.wandb"
# name: type number, a star for repeated fields; a capital letter names a message.
_ITEM = {"key": "string 1", "nested_key": "*string 2", "value_json": "string 16"}
_MESSAGES: Mapping[str, Mapping[str, str]] = {
    "Timestamp": {"seconds": "int64 1", "nanos": "int32 2"},
    "Item": _ITEM,
    "HistoryStep": {"num": "int64 1"},
    "History": {"item": "*Item 1", "step": "HistoryStep 2"},
    "Update": {"update": "*Item 1", "remove": "*Item 2"},
    "StatsItem": {"key": "string 1", "value_json": "string 16"},
    "Stats": {"timestamp": "Timestamp 2", "item": "*StatsItem 3"},
    "Output": {"timestamp": "Timestamp 2", "line": "string 3"},
    "Run": {
        "run_id": "string 1",
        "project": "string 3",
        "config": "Update 4",
        "display_name": "string 8",
        "starting_step": "int64 14",
        "start_time": "Timestamp 17",
        "resumed": "bool 18",
    },
    "Exit": {"exit_code": "int32 1", "runtime": "int32 2"},
    "Environment": {"gpu_type": "string 18", "gpu_count": "uint32 19"},
    "Version": {"producer": "string 1"},
    "Header": {"version_info": "Version 1"},
    "Record": {
        "num": "int64 1",
        "history": "History 2",
        "summary": "Update 3",
        "output": "Output 4",
        "config": "Update 5",
        "stats": "Stats 7",
        "output_raw": "Output 13",
        "run": "Run 17",
        "exit": "Exit 18",
        "header": "Header 21",
        "environment": "Environment 26",
    },
}


def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="lossdoctor/wandb.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, spec in fields.items():
            kind, number = spec.lstrip("*").split()
            label = _Field.LABEL_REPEATED if spec.startswith("*") else _Field.LABEL_OPTIONAL
            if kind in _TYPES:
                message.field.add(name=field, number=int(number), label=label, type=_TYPES[kind])
            else:
                message.field.add(name=field, number=int(number), label=label, type=_Field.TYPE_MESSAGE, type_name=f".{_PACKAGE}.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_CLASSES = _classes()
Record: Any = _CLASSES["Record"]
History: Any = _CLASSES["History"]
Update: Any = _CLASSES["Update"]
