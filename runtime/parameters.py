"""Parameter files: where the values of `nn.parameter` come from, an ONNX file or a `.safetensors` file."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from onnx import ModelProto, TensorProto
from safetensors import SafetensorError, safe_open
from safetensors import numpy as safetensors_numpy
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr

from ..dialects.nn.types import Array
from ..errors import CompileError, UnsupportedError, unescape_name
from ..lowering.onnx_files import load_model, parse_model, to_array
from ..lowering.onnx_to_nn import Known, import_with_weights
from ..lowering.onnx_weights import Weights


class ModelParameters(Mapping[str, Array]):
    """The weights of an ONNX model, by their names in IR: initializers, and the tensors of Constant nodes."""

    def __init__(self, model: ModelProto | Mapping[str, TensorProto | Array]):
        """Of a model, or of what `import_with_weights` gave for one."""
        self._tensors = import_with_weights(model)[1].tensors if isinstance(model, ModelProto) else model

    def __getitem__(self, name: str) -> Array:
        tensor = self._tensors[name]
        return to_array(tensor) if isinstance(tensor, TensorProto) else tensor

    def __iter__(self) -> Any:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class ImportedModel(ModelParameters):
    """A model's weights, and the model, which can be imported again."""

    def __init__(self, model: ModelProto, weights: Weights):
        super().__init__(weights.tensors)
        self._model, self._weights = model, weights

    def again(self, known: Known) -> ModuleOp:
        """The module for what is known of a run; its parameters are here, too."""
        return import_with_weights(self._model, known=known, weights=self._weights)[0]


class FileParameters(Mapping[str, Array]):
    """The tensors of a `.safetensors` file, read when they are asked for."""

    def __init__(self, path: Path):
        try:
            self._file: Any = safe_open(str(path), framework="numpy")
            self._names: list[str] = list(self._file.keys())
        except (SafetensorError, OSError) as e:
            raise CompileError(f"cannot read the parameter file '{path}': {e}") from None

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        return self._file.get_tensor(name)

    def __iter__(self) -> Any:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open_model(model: str | PathLike[str] | bytes | ModelProto) -> tuple[ModuleOp, ImportedModel]:
    """The imported module of an ONNX file, of its bytes, or of a ModelProto, and its parameters."""
    if isinstance(model, ModelProto | bytes):
        proto = parse_model(model) if isinstance(model, bytes) else model
        module, weights = import_with_weights(proto)
    else:
        proto = load_model(model)
        module, weights = import_with_weights(proto, str(model), Path(model).stat().st_size)
    return module, ImportedModel(proto, weights)


def open_parameters(module: ModuleOp, folder: Path, override: str | None = None) -> Mapping[str, Array]:
    """The parameters a module names, relative to the `folder` of its file, or those of the file `override`.

    Raises CompileError where the file is missing or is not of the size the module states.
    """
    named, size = module.attributes.get("nn.parameters"), module.attributes.get("nn.parameters_size")
    if override is not None:
        path = Path(override)
    elif named is None:
        return {}
    elif isinstance(named, StringAttr):
        path = folder / unescape_name(named.data)
    else:
        raise CompileError(f"nn.parameters is {named}, which is no path", hint="write other characters as \\xNN")
    if not path.is_file():
        raise CompileError(f"the parameter file '{path}' is missing", hint="name it with --parameters")
    if override is None and isinstance(size, IntegerAttr) and path.stat().st_size != size.value.data:
        raise CompileError(
            f"the parameter file '{path}' has {path.stat().st_size} bytes, but the module was made for one of"
            f" {size.value.data}"
        )
    return FileParameters(path) if path.suffix == ".safetensors" else ModelParameters(load_model(path))


def write_parameters(stream: IO[bytes], values: Mapping[str, Array]) -> int:
    """Write `values` as a `.safetensors` file of as many bytes as are returned.

    Raises UnsupportedError for an element type that the format does not hold, or that is not read back.
    """
    arrays = {name: np.asarray(value, order="C") for name, value in values.items()}
    for name, array in arrays.items():
        if array.dtype.isbuiltin != 1 and array.dtype.name != "bfloat16":
            raise UnsupportedError(f"the parameter '{name}' of {array.dtype.name} cannot be saved")
    try:
        return stream.write(cast(Any, safetensors_numpy).save(arrays))
    except SafetensorError as e:
        raise UnsupportedError(f"a parameter cannot be saved: {e}") from None
