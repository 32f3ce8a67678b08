"""What is small is evaluated on the host, also where there is a device; the results are on the device."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from xdsl.parser import Parser

from nnfuse.runtime.pipelines import new_context
from nnfuse.runtime.reference import HOST_BYTES, evaluate, main_function

BLOCK = """
func.func @main() -> (tensor<{n}xf32>, tensor<1xf32>) {{
  %w = nn.parameter "w" : tensor<{n}xf32>
  %c = nn.constant dense<2.0> : tensor<1xf32>
  %d = nn.add %c, %c : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  %y = nn.mul %w, %d : (tensor<{n}xf32>, tensor<1xf32>) -> tensor<{n}xf32>
  func.return %y, %d : tensor<{n}xf32>, tensor<1xf32>
}}
"""


class DeviceArray(np.ndarray[Any, Any]):
    """An array on a device, which computes with no others."""

    computed: ClassVar[list[str]] = []

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        assert all(isinstance(a, DeviceArray) for a in inputs)
        self.computed.append(ufunc.__name__)
        return ufunc(*(a.view(np.ndarray) for a in inputs), **options).view(DeviceArray)


class Device:
    """The array module of that device."""

    ndarray = DeviceArray

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def asarray(self, array: Any) -> Any:
        return np.asarray(array).view(DeviceArray)


@pytest.mark.parametrize(("n", "device"), [(4, False), (HOST_BYTES // 4, True)])
def test_small_and_large(n: int, device: bool) -> None:
    module = Parser(new_context(), BLOCK.format(n=n)).parse_module()
    DeviceArray.computed.clear()
    w = np.arange(n, dtype=np.float32)
    product, total = evaluate(main_function(module), [], {"w": w}.__getitem__, Device())
    assert DeviceArray.computed == (["multiply"] if device else [])
    assert type(product) is type(total) is DeviceArray
    np.testing.assert_array_equal(product.view(np.ndarray), 4 * w)
    np.testing.assert_array_equal(total.view(np.ndarray), [4])
