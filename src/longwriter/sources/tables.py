"""Rows of Arrow tables: which columns are read, and their values as Python objects.

Pure.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from longwriter.schemas.columns import EARLIER, STATED, readable_columns

_UNREADABLE = (pa.ArrowException, ValueError, OverflowError, KeyError)  # KeyError: an unknown time zone


def columns(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that are read.

    A column `type`, `length`, `language` or `history` whose type does not fit (a date, for example) means something
    else and is not read.
    """
    return readable_columns(field.name for field in schema if _can_hold(field))


def _can_hold(field: pa.Field) -> bool:
    """Tell whether the type of a column fits its name."""
    name, kind = field.name.lower(), field.type
    if name == EARLIER:
        return bool(pa.types.is_nested(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if name not in STATED:
        return True
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if name == "length":
        return not (pa.types.is_temporal(kind) or pa.types.is_nested(kind))
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_null,
        )
    )


def values(batch: pa.RecordBatch) -> list[dict[str, Any] | str]:
    """Return the rows of a batch; in place of a row that cannot be read, a text says what is wrong with it."""
    try:
        return _values(_without_times(batch))
    except (
        pa.ArrowException
    ):  # the cast failed; then only rows with times that Python cannot read are malformed
        return _values(batch)


def _values(batch: pa.RecordBatch) -> list[dict[str, Any] | str]:
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError as error:
        trouble = f"no UTF-8: {error.reason}"
    except _UNREADABLE as error:
        trouble = f"a value cannot be read: {str(error)[:80]!r}"
    if batch.num_rows == 1:
        return [trouble]
    half = batch.num_rows // 2
    return _values(batch.slice(0, half)) + _values(batch.slice(half))


def _without_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch without the times in its chats: nobody needs them, and Python cannot read all of them."""
    kinds = {field.name: _without_time(field.type) for field in batch.schema}
    if all(kinds[field.name] in (None, field.type) for field in batch.schema):
        return batch
    fields = [pa.field(field.name, kinds[field.name] or field.type) for field in batch.schema]
    return batch.cast(pa.schema(fields))


def _without_time(kind: pa.DataType) -> pa.DataType | None:
    """Return a type without dates, times and durations; None if nothing is left of it."""
    if pa.types.is_temporal(kind):
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _without_time(kind.value_type)
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return inner and (kind if inner == kind.value_type else make(inner))
    if pa.types.is_struct(kind):
        kinds = [(field.name, _without_time(field.type)) for field in kind]
        fields = [(name, inner) for name, inner in kinds if inner is not None]
        is_same = len(fields) == len(kinds) and all(kind.field(name).type == inner for name, inner in fields)
        return kind if is_same else pa.struct(fields) if fields else None
    return kind
