"""Reads a compressed or recoded file as plain UTF-8: `.gz`, `.zst`, `.bz2`, `.xz`, `.lzma`, UTF-16 and UTF-32.

The first bytes say what a file is. A file whose name says otherwise, and an archive, is an error.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import IO, Any

import pyarrow as pa

from longwriter.errors import BadRecord

_PACKED = {  # first bytes of a compressed file
    ".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0",
    ".lzma": b"]\0\0",
}  # fmt: skip
_DECOMPRESSORS = {".bz2": bz2.BZ2Decompressor, ".xz": lzma.LZMADecompressor, ".lzma": lzma.LZMADecompressor}
_OTHERS = {  # first bytes of a file that is no text, and what to do
    b"PK\x03\x04": "a zip archive or a workbook of Excel: unpack it and name the files in it, or save it as CSV",
    b"7z\xbc\xaf": "a 7z archive: unpack it, and name the files in it",
    b"Rar!": "a rar archive: unpack it, and name the files in it",
    b"%PDF": "a PDF file: its text has to be put into rows",
    b"PAR1": "a Parquet file: name it .parquet",
    b"ARROW1": "an Arrow file: save it as Parquet",
    b"Obj\x01": "an Avro file: save it as JSON Lines or Parquet",
    b"ORC": "an ORC file: save it as Parquet",
    b"SQLite format 3": "a database of SQLite: save its table as CSV",
}
_ZIPPED = "compressed twice: unpack it once"
_TAR, _TAR_AT = b"ustar", 257
_BOMS = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
}
_ZEROS: dict[tuple[bool, ...], str] = {  # whether the first bytes of two ASCII characters are other than zero
    (True, False, True, False): "utf-16-le",
    (False, True, False, True): "utf-16-be",
    (True, False, False, False): "utf-32-le",
    (False, False, False, True): "utf-32-be",
}
_SKIPPED = (
    b"\x2a\x4d\x18"  # a frame of zstd that holds no text begins with any byte from 0x50 to 0x5f, and this
)
HEAD = 2**16  # bytes that show what a file is


def plain_text(name: str, file: IO[bytes]) -> io.BufferedReader:
    """Return a file's text as UTF-8; its readers raise an error if a compressed file is cut off."""
    raw: Any = io.BufferedReader(file, HEAD)
    begin = raw.peek(_TAR_AT + len(_TAR))
    named = next((end for end in _PACKED if name.lower().endswith(end)), None)
    end = _packed_end(begin)
    if other := _other(begin):
        raise BadRecord(f"{name} is {other}")
    if named and end is None and begin:
        raise BadRecord(f"{name} is no {named} file, its first bytes say: rename it, or compress it again")
    if end == ".gz":
        raw = gzip.GzipFile(fileobj=raw)
    elif end == ".zst":
        raw = pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd")
    elif end:
        raw = _Streams(raw, end)
    text = io.BufferedReader(raw, HEAD)
    head = text.peek(_TAR_AT + len(_TAR))
    if other := _ZIPPED if end and _packed_end(head) else _other(head):
        raise BadRecord(f"{name} is {other}")
    encoding = _BOMS.get(head[:4]) or _BOMS.get(head[:2]) or _ZEROS.get(tuple(map(bool, head[:4])))
    if encoding is None:
        return text
    recoded: Any = pa.transcoding_input_stream(pa.PythonFile(text, "r"), encoding, "utf-8")
    return io.BufferedReader(recoded, HEAD)


def _other(head: bytes) -> str | None:
    """Return what a file is that begins with `head` and is no text, and what to do; None for all others."""
    if head.startswith(_TAR, _TAR_AT):
        return "a tar archive: unpack it, and name the files in it"
    return next((kind for magic, kind in _OTHERS.items() if head.startswith(magic)), None)


def _packed_end(begin: bytes) -> str | None:
    """Return the ending of a compressed file's name that fits to its first bytes, or None."""
    if begin[:1] and 0x50 <= begin[0] <= 0x5F and begin[1:4] == _SKIPPED:
        return ".zst"
    return next((end for end, magic in _PACKED.items() if begin.startswith(magic)), None)


class _Streams(io.RawIOBase):
    """The text of a `.bz2` or `.xz` file of one or more streams; Python's own readers stop at padding and at damage."""

    def __init__(self, file: IO[bytes], end: str) -> None:
        """Keep the file; `end` is its ending."""
        self._file, self._end = file, end
        self._stream = _DECOMPRESSORS[end]()

    def readable(self) -> bool:
        """Tell that the file can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer and return the number of bytes; 0 at the end of the file."""
        while True:
            if self._stream.eof:
                rest = self._stream.unused_data or self._file.read(HEAD)
                while rest and not rest.strip(b"\0") and self._end == ".xz":  # padding
                    rest = self._file.read(HEAD)
                if not rest:
                    return 0
                self._stream = _DECOMPRESSORS[self._end]()
                rest = rest.lstrip(b"\0") if self._end == ".xz" else rest
            else:
                rest = self._file.read(HEAD) if self._stream.needs_input else b""
                if not rest and self._stream.needs_input:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            if text := self._stream.decompress(rest, len(buffer)):
                buffer[: len(text)] = text
                return len(text)
