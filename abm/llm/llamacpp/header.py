"""The header of a GGUF file, read before llama.cpp is given the file.

llama.cpp stops the whole process on some damaged files. So the magic number, the version, the
metadata and the place of every tensor are checked here, and a file that is missing, truncated or of
another format is a `ModelFileError` that says what to do.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3).
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abm.errors import ModelFileError

__all__ = ["Header", "read_header", "shards"]

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4

# ggml type -> (elements per block, bytes per block). A type that is not here is checked only for
# where it starts.
_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a GGUF file says about itself.

    Attributes
    ----------
    metadata
        Key -> number, truth value or text. Of an array only its length is kept.
    n_tensors
        Number of tensors.
    size
        Bytes that the file must have for all its tensors to be there.
    n_parameters
        Elements of all tensors of the file.
    """

    path: Path
    metadata: dict[str, Any]
    n_tensors: int
    size: int
    n_parameters: int


class _Short(Exception):
    """The header goes on after the end of the file."""


def read_header(path: Path | str) -> Header:
    """Read and check the header of a GGUF file.

    Raises
    ------
    ModelFileError
        The file is missing, empty, not a GGUF, of an unsupported version, or shorter than its
        header says; carries `path`.
    """
    path = Path(path)
    found = _existing(path)
    with found.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _check_magic(path, data)
        try:
            header = _parse(path, data)
        except _Short:
            raise _truncated(path, len(data), "its header is cut off") from None
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
            raise ModelFileError(
                f"{path}: the header cannot be read ({error!r}); the file is damaged. "
                "Fetch it again",
                path=str(path),
            ) from error
        if header.size > len(data):
            raise _truncated(path, len(data), f"its header announces {header.size:,} bytes")
    return header


def _existing(path: Path) -> Path:
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise ModelFileError(
            f"model file {path} {kind}; expected a GGUF file. Check the path, or use the model "
            "that comes with the package: 'embedded'",
            path=str(path),
        )
    if path.stat().st_size == 0:
        raise _truncated(path, 0, "the file is empty")
    return path


def _truncated(path: Path, size: int, reason: str) -> ModelFileError:
    return ModelFileError(
        f"{path} is truncated: it has {size:,} bytes and {reason}. "
        "The download or copy was interrupted; fetch it again",
        path=str(path),
    )


def _check_magic(path: Path, data: mmap.mmap) -> None:
    if data[:4] != b"GGUF":
        raise ModelFileError(
            f"{path} is not a GGUF file: it starts with {data[:4]!r}, expected b'GGUF'. "
            "Convert safetensors and PyTorch files with llama.cpp's convert_hf_to_gguf.py",
            path=str(path),
        )
    if len(data) < 24:
        raise _truncated(path, len(data), "its header is cut off")
    version = struct.unpack_from("<I", data, 4)[0]
    if version not in (2, 3):
        raise ModelFileError(
            f"{path}: GGUF version {version}, expected 2 or 3 (little-endian). "
            "Convert the model again with a current llama.cpp",
            path=str(path),
        )


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.size, self.at = data, len(data), 8

    def take(self, code: str) -> Any:
        end = self.at + struct.calcsize("<" + code)
        if end > self.size:
            raise _Short
        value = struct.unpack_from("<" + code, self.data, self.at)[0]
        self.at = end
        return value

    def skip(self, count: int) -> int:
        start, self.at = self.at, self.at + count
        if self.at > self.size:
            raise _Short
        return start

    def text(self) -> str:
        start = self.skip(self.take("Q"))
        return self.data[start : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        return self.array() if kind == _ARRAY else self.take(_SCALARS[kind])

    def array(self) -> int:
        kind, count = self.take("I"), self.take("Q")
        if kind in _SCALARS:
            self.skip(count * struct.calcsize("<" + _SCALARS[kind]))
            return int(count)
        for _ in range(count):
            if kind != _STRING:
                raise KeyError(f"array of type {kind}")
            self.skip(self.take("Q"))
        return int(count)


def _parse(path: Path, data: mmap.mmap) -> Header:
    reader = _Reader(data)
    n_tensors, n_values = reader.take("Q"), reader.take("Q")
    metadata = {}
    for _ in range(n_values):
        name = reader.text()
        metadata[name] = reader.value(reader.take("I"))
    tensors = list(_tensors(reader, n_tensors))
    alignment = int(metadata.get("general.alignment", 32)) or 32
    start = -(-reader.at // alignment) * alignment
    size = start + max(end for end, _ in tensors) if tensors else reader.at
    return Header(path, metadata, int(n_tensors), size, sum(count for _, count in tensors))


def _tensors(reader: _Reader, n_tensors: int) -> Iterator[tuple[int, int]]:
    """Where each tensor ends, in bytes after the first one's start, and its elements."""
    for _ in range(n_tensors):
        reader.text()
        n_dimensions = reader.take("I")
        if n_dimensions > _MOST_DIMENSIONS:
            raise OverflowError(f"a tensor of {n_dimensions} dimensions")
        count = math.prod(reader.take("Q") for _ in range(n_dimensions))
        block, size = _TYPES.get(reader.take("I"), (1, 0))
        yield int(reader.take("Q")) + count // block * size, int(count)


def shards(header: Header) -> list[Path]:
    """All files of a model that is split over several, itself included; checks that each is there.

    Raises
    ------
    ModelFileError
        A part is missing or damaged, or the file is not the first part.
    """
    count = int(header.metadata.get("split.count", 0))
    if count <= 1:
        return [header.path]
    match = re.fullmatch(r"(.*)-(\d{5})-of-(\d{5})\.gguf", header.path.name)
    if match is None or int(match[2]) != 1:
        raise ModelFileError(
            f"{header.path} is one of {count} parts; name the first (…-00001-of-{count:05}.gguf)",
            path=str(header.path),
        )
    names = [f"{match[1]}-{i:05}-of-{match[3]}.gguf" for i in range(1, count + 1)]
    parts = [header.path.with_name(name) for name in names]
    for part in parts[1:]:
        read_header(part)
    return parts
