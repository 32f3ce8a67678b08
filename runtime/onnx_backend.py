"""nnfuse as an ONNX backend: `onnx.backend.base.Backend` on Session, for onnx's own test suite and its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from onnx import ModelProto, NodeProto, TypeProto, helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType, namedtupledict
from onnx.defs import onnx_opset_version

from ..dialects.nn.types import Array
from ..errors import CompileError
from .session import Session

DEVICES = {DeviceType.CPU: "cpu", DeviceType.CUDA: "cuda"}
"""Session's devices by ONNX's."""


class NnfuseRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, session: Session):
        self.session = session

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """The outputs, as a named tuple, for `inputs`: arrays in the order of the inputs, or a dict of them by name."""
        names = [v.name for v in self.session.get_inputs()]
        if isinstance(inputs, Mapping):
            feeds = dict(cast(Mapping[str, Any], inputs))
        else:
            arrays = cast(Sequence[Any], inputs) if isinstance(inputs, list | tuple) else [inputs]
            if len(arrays) != len(names):
                raise CompileError(
                    f"the model has {len(names)} inputs ({', '.join(names)}), but {len(arrays)} are given"
                )
            feeds = dict(zip(names, arrays, strict=True))
        results = self.session.run(None, feeds)
        outputs = [v.name for v in self.session.get_outputs()]
        return namedtupledict("Outputs", outputs)(*results)


class NnfuseBackend(Backend):
    """ONNX's backend interface; devices are `CPU` and `CUDA`. Models that cannot be run raise UnsupportedError."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether `model` can be imported."""
        try:
            cls.prepare(model, device, **kwargs)
        except CompileError:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> NnfuseRep:
        """`model`, imported and fused; `kwargs` are Session's. Raises CompileError and UnsupportedError."""
        return NnfuseRep(Session(model, _session_device(device), **kwargs))

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """The outputs of one node for the arrays `inputs`, one for each non-empty input name.

        `opset_version` in `kwargs` is the opset of its domain, by default the newest; `outputs_info` is not needed.
        """
        version = int(kwargs.pop("opset_version", onnx_opset_version()))
        names = list(dict.fromkeys(filter(None, node.input)))
        arrays: list[Any] = [a if isinstance(a, list | tuple) else np.asarray(a) for a in inputs]
        if len(arrays) != len(names):
            raise CompileError(f"{node.op_type} reads {len(names)} values, but {len(arrays)} are given", node.name)
        graph = helper.make_graph(
            [node],
            node.name or node.op_type,
            [helper.make_value_info(n, _type_of(a, n)) for n, a in zip(names, arrays, strict=True)],
            [helper.make_value_info(n, TypeProto()) for n in node.output if n],
        )
        opsets = [helper.make_opsetid("", version if not node.domain else onnx_opset_version())]
        if node.domain:
            opsets.append(helper.make_opsetid(node.domain, version))
        return cls.prepare(helper.make_model(graph, opset_imports=opsets), device, **kwargs).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models can be run on `device` here and now."""
        try:
            from .kernels import get_backend

            get_backend(_session_device(device))
        except CompileError:
            return False
        return True


def _session_device(device: str) -> str:
    """Session's name of an ONNX device; raises CompileError for one that nnfuse does not know."""
    try:
        known = Device(device)
    except (AttributeError, ValueError):
        raise CompileError(f"unknown device '{device}'", hint="CPU or CUDA") from None
    if known.device_id != 0:
        raise CompileError(f"device '{device}' is not supported", hint="make it CuPy's current device")
    return DEVICES[known.type]


def _type_of(value: Any, name: str) -> TypeProto:
    """The type of an array, or of a sequence of arrays, whose elements may be of any shape."""
    if not isinstance(value, list | tuple):
        return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
    if not value:
        raise CompileError("the type of an empty sequence cannot be told", name, "run a model that declares it")
    first = np.asarray(cast(Sequence[Any], value)[0])
    rank = {np.ndim(a) for a in cast(Sequence[Any], value)}
    shape = [None] * first.ndim if len(rank) == 1 else None
    element = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(first.dtype), shape)
    return helper.make_sequence_type_proto(element)


is_compatible = NnfuseBackend.is_compatible
prepare = NnfuseBackend.prepare
run_model = NnfuseBackend.run_model
run_node = NnfuseBackend.run_node
supports_device = NnfuseBackend.supports_device
