"""The arrays of fuse-run: `.npy` and `.npz` files, read without trust and written whole, and inputs from a seed."""

from __future__ import annotations

import logging
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy

from ..errors import CompileError, UnsupportedError, escape_name
from ..runtime.session import Session, Value

LOG = logging.getLogger("nnfuse")

HEADERS: dict[tuple[int, int], Any] = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""What reads the header of each version of the `.npy` format (3.0 is for structured dtypes)."""

RAW_BFLOAT16 = np.dtype("V2")
"""How NumPy reads back an array of ml_dtypes.bfloat16."""

SMALL_INTEGERS = 4
"""Generated integers lie below this: they may be indices."""

Shape = tuple[int, ...]


class UnknownSizeError(CompileError):
    """A symbolic dim to which nothing gives a size."""


def read_feeds(options: Sequence[str], session: Session) -> dict[str, Any]:
    """The arrays of `--input` by input name.

    Raises CompileError for what cannot be read, is no input, or is given twice.
    """
    feeds: dict[str, Any] = {}
    for option in options:
        name, path = split_name(option, session.get_inputs())
        for value, array in _read_arrays(path, name, session):
            if value.name in feeds:
                raise CompileError("--input gives the input twice", value.name)
            feeds[value.name] = array
    return feeds


def split_name(option: str, inputs: Sequence[Value]) -> tuple[str | None, str]:
    """NAME and the rest of `NAME=REST`, where an input's own name may hold `=`; None and all of it without a NAME."""
    for value in sorted(inputs, key=lambda v: -len(v.name)):
        if option.startswith(f"{value.name}="):
            return value.name, option[len(value.name) + 1 :]
    name, separator, rest = option.partition("=")
    return (name, rest) if separator and not os.path.exists(option) else (None, option)


def _read_arrays(path: str, name: str | None, session: Session) -> Iterator[tuple[Value, Any]]:
    """The inputs that a file gives, and their arrays."""
    kind = os.path.splitext(path)[1]
    if kind not in (".npy", ".npz"):
        raise CompileError(f"--input {path}: not a .npy or .npz file", hint="write NAME=FILE.npy, or FILE.npz")
    try:
        with open(path, "rb") as stream:
            if kind == ".npz":
                yield from _read_npz(stream, path, name, session)
            elif name is None:
                raise CompileError(f"--input {path}: the input's name is missing", hint="write NAME=FILE.npy")
            else:
                value = _array_input(session, name)
                yield value, read_npy(stream, os.fstat(stream.fileno()).st_size, path, value.type, session.max_bytes)
    except OSError as e:
        raise CompileError(f"cannot read '{path}': {e.strerror or e}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as e:
        raise CompileError(f"'{path}' is not a whole .npz file: {e}") from None


def _array_input(session: Session, name: str) -> Value:
    """The input of this name; raises UnsupportedError where it is no tensor."""
    return _checked_input(session.find_input(name))


def _checked_input(value: Value) -> Value:
    if not value.is_tensor:
        what = f"fuse-run neither reads nor makes an input of the type {value.type}"
        raise UnsupportedError(what, value.name, "run it in Python, by Session")
    return value


def _read_npz(stream: IO[bytes], path: str, name: str | None, session: Session) -> Iterator[tuple[Value, Any]]:
    """Every array of the file that is called as an input; with a `name`, the array of that name or the only one.

    Others, as expected outputs are, are not read, which is logged. A file without any for an input is refused.
    """
    with zipfile.ZipFile(stream) as archive:
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        if name is not None:
            own = name if name in members else next(iter(members)) if len(members) == 1 else None
            if own is None:
                raise CompileError(f"'{path}' holds no array '{name}'", hint=f"it holds: {', '.join(members)}")
            members = {name: members[own]}
        for value, info in _for_inputs(members, path, session):
            with archive.open(info) as member:
                where = f"{path}:{info.filename}"
                yield value, read_npy(member, info.file_size, where, value.type, session.max_bytes)


def _for_inputs(
    members: Mapping[str, zipfile.ZipInfo], path: str, session: Session
) -> list[tuple[Value, zipfile.ZipInfo]]:
    found: list[tuple[Value, zipfile.ZipInfo]] = []
    others: list[str] = []
    refusal: CompileError | None = None
    for key, info in members.items():
        try:
            found.append((session.find_input(key), info))
        except CompileError as e:
            others.append(escape_name(key))
            refusal = refusal or e
    if refusal is not None and not found:
        raise refusal
    if others:
        LOG.warning("'%s' holds %s too, which are no inputs: not read", path, ", ".join(others))
    return [(_checked_input(value), info) for value, info in found]


def read_npy(stream: IO[bytes], size: int, where: str, dtype: str, max_bytes: int) -> Any:
    """The array in `stream`, which holds `size` bytes, in this machine's byte order; nothing is ever unpickled.

    Its header is checked before memory is taken. NumPy writes bfloat16 as nameless elements of two bytes, which are
    read as such where `dtype` is that. Raises CompileError, naming the place `where`.
    """
    try:
        version = npy.read_magic(stream)
        if version not in HEADERS:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is unknown")
        shape, fortran, stored = HEADERS[version](stream)
    except Exception as e:  # ValueError for most; what NumPy's parser meets in a damaged header is not documented
        raise CompileError(f"'{where}' is no .npy array: {e}") from None
    if stored.kind not in "biuf" and stored != RAW_BFLOAT16:
        raise CompileError(f"'{where}' holds elements of the type {stored}, not numbers")
    whole = prod(shape) * stored.itemsize
    if min(shape, default=0) < 0 or whole > size:
        raise CompileError(f"'{where}' is cut short: its header says {whole} bytes, but it has {size}")
    if whole > max_bytes:
        raise CompileError(f"'{where}' has {whole} bytes, more than the limit of {max_bytes}", hint="--max-bytes")
    data = stream.read(whole)
    if len(data) != whole:
        raise CompileError(f"'{where}' is cut short: its header says {whole} bytes, but {len(data)} follow")
    array: Any = np.frombuffer(data, stored).reshape(shape, order="F" if fortran else "C")
    if dtype == "bfloat16" and stored == RAW_BFLOAT16:
        return array.view(np.dtype(dtype))
    return array.astype(stored.newbyteorder("="), copy=False)


def write_npz(stream: Any, arrays: Mapping[str, Any]) -> None:
    """Write `arrays` by name as `numpy.load` reads them; unlike `numpy.savez`, any name will do."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.asarray(array), allow_pickle=False)


def parse_shape(text: str) -> Shape:
    """`8x3x224x224` as a tuple, `scalar` as the empty one; raises CompileError on anything else."""
    if text == "scalar":
        return ()
    parts = text.split("x")
    if not all(p.isascii() and p.isdecimal() for p in parts):
        raise CompileError(f"'{text}' is no shape", hint="write sizes with x between them, 8x3x224x224, or scalar")
    return tuple(int(p) for p in parts)


def resolve_shapes(
    session: Session, feeds: Mapping[str, Any], shape_options: Sequence[str], dim_options: Sequence[str]
) -> list[Shape | None]:
    """The shape of each input, from the arrays fed, `--shape` and `--dim`; None for a sequence or an optional.

    Raises CompileError where they contradict one another or the model, or leave a dim without a size.
    """
    inputs = session.get_inputs()
    known: dict[str, Shape] = {name: array.shape for name, array in feeds.items()}
    for option in shape_options:
        name, text = split_name(option, inputs)
        if name is None:
            raise CompileError(f"--shape {option}: no name is given", hint="write NAME=8x3x224x224")
        name, shape = _array_input(session, name).name, parse_shape(text)
        if known.setdefault(name, shape) != shape:
            raise CompileError(f"the input is given as {format_shape(known[name])}, but --shape says {text}", name)
    bound = _parse_dims(dim_options, inputs)
    bound = session.bind_dims([known.get(v.name) for v in inputs], bound)
    return [known[v.name] if v.name in known else _bind(v, bound) if v.is_tensor else None for v in inputs]


def _parse_dims(options: Sequence[str], inputs: Sequence[Value]) -> dict[str, int]:
    known = list(dict.fromkeys(d for v in inputs for d in v.shape if isinstance(d, str)))
    bound: dict[str, int] = {}
    for option in options:
        name, separator, size = option.rpartition("=")
        if not separator or not (size.isascii() and size.isdecimal()):
            raise CompileError(f"--dim {option}: no dimension and size", hint="write NAME=8")
        if name not in known:
            name = escape_name(name)
        if name not in known:
            hint = f"symbolic dimensions: {', '.join(known)}" if known else "all its sizes are known"
            raise CompileError(f"no input has a dimension '{name}'", hint=hint)
        if bound.setdefault(name, int(size)) != int(size):
            raise CompileError(f"--dim gives the dimension '{name}' twice, as {bound[name]} and {size}")
    return bound


def _bind(value: Value, bound: Mapping[str, int]) -> Shape:
    free = [d for d in dict.fromkeys(value.shape) if isinstance(d, str) and d not in bound]
    if free:
        message = f"the input is {format_shape(value.shape)}: no size is given for {', '.join(free)}"
        options = " ".join(f"--dim {d}=SIZE" for d in free)
        raise UnknownSizeError(message, value.name, f"{options}, or --shape, or --input")
    return tuple(bound[d] if isinstance(d, str) else d for d in value.shape)


def generate(
    values: Sequence[Value], shapes: Sequence[Shape | None], given: Mapping[str, Any], seed: int, max_bytes: int
) -> dict[str, Any]:
    """An array for each input that is not `given`: normal floats, integers from 0 to 3, booleans.

    What an input gets depends on the seed, its place and its shape only. Sizes are checked before memory is taken.
    """
    arrays: dict[str, Any] = {}
    for index, (value, shape) in enumerate(zip(values, shapes, strict=True)):
        if value.name in given:
            continue
        dtype = np.dtype(_checked_input(value).type)
        assert shape is not None
        if (size := prod(shape) * dtype.itemsize) > max_bytes:
            raise CompileError(
                f"an input of shape {format_shape(shape)} needs {size} bytes, more than the limit of {max_bytes}",
                value.name,
                "--max-bytes",
            )
        random = np.random.default_rng((seed, index))
        if dtype.kind == "b":
            arrays[value.name] = random.integers(0, 2, shape).astype(dtype)
        elif dtype.kind in "iu":
            arrays[value.name] = random.integers(0, SMALL_INTEGERS, shape).astype(dtype)
        else:
            arrays[value.name] = random.standard_normal(shape, np.float32).astype(dtype)
    return arrays


def split_outputs(outputs: Sequence[Value], results: Sequence[Any]) -> list[tuple[Value, Any]]:
    """Each output that is an array, and of the others each array in them; those of a sequence are `name[0]`, ...

    Raises CompileError where another output has such a name.
    """
    pairs: list[tuple[Value, Any]] = []
    for value, result in zip(outputs, results, strict=True):
        if isinstance(result, list | tuple):
            elements = enumerate(cast(Sequence[Any], result))
            pairs += [(replace(value, name=f"{value.name}[{i}]"), element) for i, element in elements]
        elif result is not None:
            pairs.append((value, result))
    names = Counter(value.name for value, _ in pairs)
    if twice := [name for name, count in names.items() if count > 1]:
        raise CompileError(f"an element of a sequence and another output are both called '{twice[0]}'")
    return pairs


def format_shape(shape: Sequence[int | str]) -> str:
    """`Nx3x224x224`, or `scalar`."""
    return "x".join(map(str, shape)) or "scalar"
