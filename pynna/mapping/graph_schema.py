# SPDX-License-Identifier: Apache-2.0
"""The few TensorFlow messages that a frozen graph needs, declared by hand, so that TensorFlow need not be installed.

Field numbers are those of tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto. Fields that
are not declared here are kept by protobuf as unknown ones. The messages live in a pool and a package of their own, so
that TensorFlow may be imported in the same process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pynna.errors import MappingError

DT_FLOAT, DT_DOUBLE, DT_INT32, DT_STRING, DT_INT64, DT_BOOL, DT_HALF = 1, 2, 3, 7, 9, 10, 19

_PACKAGE = "pynna.graph"
# message: (field, number, type, repeated); a type in capitals is a message, "map:" a map from strings.
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "GraphDef": (("node", 1, "NodeDef", True), ("versions", 4, "VersionDef", False), ("version", 3, "int32", False)),
    "VersionDef": (("producer", 1, "int32", False),),
    "NodeDef": (
        ("name", 1, "string", False),
        ("op", 2, "string", False),
        ("input", 3, "string", True),
        ("device", 4, "string", False),
        ("attr", 5, "map:AttrValue", True),
    ),
    "AttrValue": (
        ("list", 1, "ListValue", False),
        ("s", 2, "bytes", False),
        ("i", 3, "int64", False),
        ("f", 4, "float", False),
        ("b", 5, "bool", False),
        ("type", 6, "int32", False),
        ("shape", 7, "TensorShapeProto", False),
        ("tensor", 8, "TensorProto", False),
    ),
    "ListValue": (("s", 2, "bytes", True), ("i", 3, "int64", True)),
    "TensorShapeProto": (("dim", 2, "Dim", True), ("unknown_rank", 3, "bool", False)),
    "Dim": (("size", 1, "int64", False), ("name", 2, "string", False)),
    "TensorProto": (
        ("dtype", 1, "int32", False),
        ("tensor_shape", 2, "TensorShapeProto", False),
        ("tensor_content", 4, "bytes", False),
        ("float_val", 5, "float", True),
        ("double_val", 6, "double", True),
        ("int_val", 7, "int32", True),
        ("string_val", 8, "bytes", True),
        ("int64_val", 10, "int64", True),
        ("bool_val", 11, "bool", True),
        ("half_val", 13, "int32", True),
    ),
}
_ONEOF = "AttrValue"  # its fields exclude one another
_PACKED = ("float", "double", "int32", "int64", "bool")


@lru_cache(maxsize=1)
def graph_class() -> Any:
    """The message class GraphDef; its fields lead to all the others.

    Raises
    ------
    MappingError
        The protobuf package is not installed, or too old.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        get_class = message_factory.GetMessageClass
    except (ImportError, AttributeError) as error:
        raise MappingError(
            f"reading or writing a .pb needs the protobuf package ({error}): pip install 'pynna[map]'"
        ) from None
    file = descriptor_pb2.FileDescriptorProto(name="pynna/graph.proto", package=_PACKAGE, syntax="proto3")
    for name, declared in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name == _ONEOF:
            message.oneof_decl.add(name="value")
        for field in declared:
            _declare(message, *field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return get_class(pool.FindMessageTypeByName(f"{_PACKAGE}.GraphDef"))


def _declare(message: Any, name: str, number: int, kind: str, repeated: bool) -> None:
    """Adds one field; a map is a repeated entry message {key, value}."""
    if kind.startswith("map:"):
        entry = message.nested_type.add(name="AttrEntry")
        entry.options.map_entry = True
        _declare(entry, "key", 1, "string", False)
        _declare(entry, "value", 2, kind[4:], False)
        kind = f"{message.name}.AttrEntry"
    field = message.field.add(name=name, number=number, label=3 if repeated else 1)
    if kind[0].isupper():
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
        if repeated and kind in _PACKED:
            field.options.packed = True
    if message.name == _ONEOF:
        field.oneof_index = 0
