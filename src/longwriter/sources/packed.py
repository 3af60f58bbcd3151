"""Reads a compressed or recoded file as plain UTF-8: `.gz`, `.zst`, `.bz2`, `.xz`, UTF-16 and UTF-32.

The first bytes say what a file is. A file whose name says otherwise, and an archive, is an error.
"""

from __future__ import annotations

import bz2
import io
import lzma
from typing import IO, Any

import pyarrow as pa

from longwriter.errors import BadRecord

_PACKED = {  # first bytes of a compressed file
    ".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0",
}  # fmt: skip
_DECOMPRESSORS = {".bz2": bz2.BZ2Decompressor, ".xz": lzma.LZMADecompressor}
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"%PDF": "a PDF file",
}
_UTF16 = {
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
    b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32",
    b"{\0": "utf-16-le", b"[\0": "utf-16-le", b"\0{": "utf-16-be", b"\0[": "utf-16-be",
}  # fmt: skip
"""First bytes of a UTF-16 or UTF-32 file: a byte order mark, or the bracket with which JSON begins."""
HEAD = 2**16  # bytes that show what a file is


def plain_text(name: str, file: IO[bytes]) -> io.BufferedReader:
    """Return a file's text as UTF-8; its readers raise an error if a compressed file is cut off."""
    raw: Any = io.BufferedReader(file, HEAD)
    begin = raw.peek(6)
    named = next((end for end in _PACKED if name.lower().endswith(end)), None)
    end = next((end for end, magic in _PACKED.items() if begin.startswith(magic)), None)
    if archive := next((kind for magic, kind in _ARCHIVES.items() if begin.startswith(magic)), None):
        raise BadRecord(f"{name} is {archive}: unpack it, and name the files in it")
    if named and end is None and begin:
        raise BadRecord(f"{name} is no {named} file, its first bytes say: rename it, or compress it again")
    if end in (".gz", ".zst"):
        raw = pa.CompressedInputStream(pa.PythonFile(raw, "r"), {".gz": "gzip", ".zst": "zstd"}[end])
    elif end:
        raw = _Streams(raw, end)
    text = io.BufferedReader(raw, HEAD)
    head = text.peek(4)
    encoding = _UTF16.get(head[:4]) or _UTF16.get(head[:2])
    if encoding is None:
        return text
    recoded: Any = pa.transcoding_input_stream(pa.PythonFile(text, "r"), encoding, "utf-8")
    return io.BufferedReader(recoded, HEAD)


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
