"""The steps of random graphs: each adds a layer, or the nodes that an exporter writes for one, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, pi, sqrt
from typing import Any

import numpy as np

Shape = tuple[int, ...]


def spatial(shape: Shape) -> bool:
    return 2 <= len(shape) <= 4


def plane(shape: Shape) -> bool:
    return len(shape) == 3


def window(g: Any, sizes: Sequence[int]) -> tuple[dict[str, Any], list[int]] | None:
    """Random kernel, pads, strides and dilations, and the sizes of the output; None where they do not fit `sizes`."""
    rank = len(sizes)
    kernel = [g.choice([1, 1, 2, 3, 3]) for _ in sizes]
    strides = [g.choice([1, 1, 2]) for _ in sizes]
    dilations = [g.choice([1, 1, 1, 2]) for _ in sizes]
    pads = [0] * (2 * rank)
    if g.chance(0.6):
        pads = [k // 2 * d for k, d in zip(kernel, dilations, strict=True)] * 2
    elif g.chance(0.3):
        pads = [g.integer(0, (kernel[i % rank] - 1) * dilations[i % rank]) for i in range(2 * rank)]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    out = [(n + pads[i] + pads[i + rank] - spans[i]) // strides[i] + 1 for i, n in enumerate(sizes)]
    if any(n + pads[i] + pads[i + rank] < spans[i] for i, n in enumerate(sizes)):
        return None
    given = {"kernel_shape": kernel, "pads": pads, "strides": strides, "dilations": dilations}
    absent = {"pads": [0] * 2 * rank, "strides": [1] * rank, "dilations": [1] * rank}
    return {n: v for n, v in given.items() if v != absent.get(n) or g.chance(0.3)}, out


def groups(g: Any, channels: int) -> int:
    """1, all channels, or something between."""
    return g.choice([1, 1, 1, channels, *(d for d in (2, 3) if channels % d == 0)])


def conv(g: Any) -> None:
    x, (channels, *sizes) = g.pick(spatial) or ("", (0,))
    found = window(g, sizes) if x else None
    if found is None:
        return
    attributes, out = found
    group = groups(g, channels)
    filters = group * g.integer(1, 3) if group > 1 else g.choice([channels, g.integer(1, 8)])
    kernel = attributes["kernel_shape"]
    w = g.normal(filters, channels // group, *kernel, scale=(channels // group * np.prod(kernel)) ** -0.5)
    bias = [g.normal(filters)] if g.chance() else []
    g.emit(g.node("Conv", [x, w, *bias], group=group, **attributes), [filters, *out])


def conv_same(g: Any) -> None:
    """`auto_pad`, after which the sizes stay."""
    x, shape = g.pick(spatial) or ("", ())
    if x:
        kernel = [g.choice([1, 2, 3]) for _ in shape[1:]]
        w = g.normal(shape[0], shape[0], *kernel, scale=(shape[0] * np.prod(kernel)) ** -0.5)
        g.emit(g.node("Conv", [x, w], auto_pad=g.choice(["SAME_UPPER", "SAME_LOWER"])), shape)


def conv_transpose(g: Any) -> None:
    x, (channels, *sizes) = g.pick(spatial) or ("", (0,))
    if not x:
        return
    kernel, strides = [g.integer(1, 3) for _ in sizes], [g.integer(1, 2) for _ in sizes]
    group = groups(g, channels)
    filters = g.integer(1, 3)
    extra = [g.integer(0, s - 1) for s in strides]
    out = [(n - 1) * s + k + e for n, s, k, e in zip(sizes, strides, kernel, extra, strict=True)]
    w = g.normal(channels, filters, *kernel, scale=(channels // group * np.prod(kernel)) ** -0.5)
    bias = [g.normal(filters * group)] if g.chance() else []
    y = g.node("ConvTranspose", [x, w, *bias], strides=strides, output_padding=extra, group=group)
    g.emit(y, [filters * group, *out])


def pool(g: Any) -> None:
    x, (channels, *sizes) = g.pick(spatial) or ("", (0,))
    found = window(g, sizes) if x else None
    if found is None:
        return
    attributes, out = found
    kernel = attributes["kernel_shape"]
    if any(p >= kernel[i % len(kernel)] for i, p in enumerate(attributes.get("pads", []))):
        return
    if g.chance(0.2):  # the sizes are halved, and the last window may hang over
        halved = [-(-n // 2) for n in sizes]
        kind = g.choice(["MaxPool", "AveragePool"])
        how = g.choice([{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"ceil_mode": 1}])
        g.emit(g.node(kind, [x], kernel_shape=[2] * len(sizes), strides=[2] * len(sizes), **how), [channels, *halved])
    elif g.chance():
        g.emit(g.node("MaxPool", [x], **attributes), [channels, *out])
    elif all(d == 1 for d in attributes.pop("dilations", [1])):
        y = g.node("AveragePool", [x], count_include_pad=g.integer(0, 1), **attributes)
        g.emit(y, [channels, *out])


def global_pool(g: Any) -> None:
    x, shape = g.pick(spatial) or ("", ())
    if not x:
        return
    if g.chance():
        g.emit(g.node(g.choice(["GlobalAveragePool", "GlobalMaxPool"]), [x]), [shape[0], *[1] * (len(shape) - 1)])
    else:
        reduction(g, x, shape, list(range(2, len(shape) + 1)), g.integer(0, 1))


def reduction(g: Any, x: str, shape: Shape, axes: list[int], keepdims: int) -> str:
    """ReduceMean, or another, over `axes` behind the batch."""
    kind = g.choice(["ReduceMean", "ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "ReduceL2"])
    by_input = g.opset >= 18 or kind == "ReduceSum"
    inputs, attributes = ([x, g.numbers(*axes)], {}) if by_input else ([x], {"axes": axes})
    y = g.node(kind, inputs, keepdims=keepdims, **attributes)
    g.emit(y, [1 if a + 1 in axes else n for a, n in enumerate(shape) if keepdims or a + 1 not in axes])
    return y


def reduce_some(g: Any) -> None:
    x, shape = g.pick(lambda s: len(s) >= 1)
    axis = g.integer(1, len(shape))
    if len(shape) > 1:
        reduction(g, x, shape, [axis], g.integer(0, 1))


def dense(g: Any) -> None:
    """Gemm of [N, K], MatMul of any rank, with or without a bias."""
    x, shape = g.pick(lambda s: len(s) >= 1)
    inner, outer = shape[-1], g.integer(1, 10)
    if len(shape) == 1 and g.chance(0.6):
        transposed = g.integer(0, 1)
        w = g.normal(*((outer, inner) if transposed else (inner, outer)), scale=inner**-0.5)
        bias = [g.normal(*g.choice([(outer,), (1, outer), (), (1,)]))] if g.chance(0.7) else []
        scales = {"alpha": g.choice([1.0, 0.5]), "beta": g.choice([1.0, -2.0])} if g.chance(0.3) else {}
        y = g.node("Gemm", [x, w, *bias], transB=transposed, **scales)
    else:
        y = g.node("MatMul", [x, g.normal(inner, outer, scale=inner**-0.5)])
        if g.chance():
            y = in_any_order(g, "Add", y, g.normal(*g.choice([(outer,), (1, outer)])))
    g.emit(y, [*shape[:-1], outer])


def in_any_order(g: Any, kind: str, a: str, b: str) -> str:
    return g.node(kind, [a, b] if g.chance() else [b, a])


def batch_norm(g: Any) -> None:
    x, shape = g.pick(lambda s: True)
    channels = shape[0]
    parts = [g.uniform(channels), g.normal(channels), g.normal(channels), g.uniform(channels)]
    g.emit(g.node("BatchNormalization", [x, *parts], epsilon=g.choice([1e-5, 1e-3])), shape)


def with_constant(g: Any) -> None:
    """Add, Mul, Sub or Div with one number, one per channel, one per column, or one per element."""
    x, shape = g.pick(lambda s: True)
    ones = [1] * (len(shape) - 1)
    dims = g.choice([(), (1,), (shape[0], *ones), (1, shape[0], *ones), (shape[-1],), shape, (1, *shape)])
    kind = g.choice(["Add", "Add", "Mul", "Mul", "Sub", "Div"])
    c = g.uniform(*dims) if kind in ("Mul", "Div") else g.normal(*dims)
    g.emit(g.node("Div", [x, c]) if kind == "Div" else in_any_order(g, kind, x, c), shape)


def with_value(g: Any) -> None:
    """Add, Sub, Mul or Max of two values of a shape, or one of which is broadcast: residuals, gates."""
    x, shape = g.pick(lambda s: True)
    ones = (shape[0], *[1] * (len(shape) - 1))
    fitting = [n for n, s in g.values if s in (shape, ones)]
    kind = g.choice(["Add", "Add", "Add", "Sub", "Mul", "Max", "Sum"])
    g.emit(in_any_order(g, kind, x, g.choice(fitting)), shape)


def unary(g: Any) -> None:
    x, shape = g.pick(lambda s: True)
    kind, attributes = g.choice(
        [
            ("Relu", {}), ("Relu", {}), ("Relu", {}), ("LeakyRelu", {"alpha": 0.1}), ("LeakyRelu", {"alpha": -0.5}),
            ("HardSigmoid", {}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}), ("Sigmoid", {}), ("Tanh", {}),
            ("Elu", {"alpha": 0.7}), ("Selu", {}), ("Celu", {"alpha": 2.0}), ("Softplus", {}), ("Softsign", {}),
            ("Neg", {}), ("Abs", {}), ("Erf", {}), ("Identity", {}), ("Dropout", {}), ("Cast", {"to": 1}),
        ]
    )  # fmt: skip
    g.emit(g.node(kind, [x], **attributes), shape)


def newer_unary(g: Any) -> None:
    """Those of opsets 14, 18 and 20; PRelu, whose slopes broadcast."""
    x, shape = g.pick(lambda s: True)
    kinds = [("PRelu", {}), *[("HardSwish", {})] * (g.opset >= 14), *[("Mish", {})] * (g.opset >= 18)]
    kinds += [("Gelu", {"approximate": a}) for a in ("none", "tanh")] * (g.opset >= 20)
    kind, attributes = g.choice(kinds)
    slopes = [g.normal(*g.choice([(1,), (shape[0], *[1] * (len(shape) - 1))]))] if kind == "PRelu" else []
    g.emit(g.node(kind, [x, *slopes], **attributes), shape)


def clip(g: Any) -> None:
    """Bounds that are absent, infinite, equal, the wrong way round, or those of ReLU6."""
    x, shape = g.pick(lambda s: True)
    low, high = g.choice(
        [(0, 6), (0, None), (None, 0.5), (-1, 1), (0, inf), (-inf, 1), (0.5, 0.5), (1, -1), (-0.25, 0.75), (None, None)]
    )
    bounds = ["" if v is None else g.constant(v) for v in (low, high)]
    g.emit(g.node("Clip", [x, *bounds]), shape)


def spelled_activation(g: Any) -> None:
    """SiLU, HardSwish, Mish and both GELUs as exporters spell them."""
    x, shape = g.pick(lambda s: True)
    kind = g.choice(["silu", "hard_swish", "mish", "gelu", "gelu_tanh"])
    if kind == "silu":
        y = in_any_order(g, "Mul", x, g.node("Sigmoid", [x]))
    elif kind == "mish":
        y = in_any_order(g, "Mul", x, g.node("Tanh", [g.node("Softplus", [x])]))
    elif kind == "hard_swish":
        shifted = in_any_order(g, "Add", x, g.constant(3.0))
        y = in_any_order(g, "Mul", x, g.node("Clip", [shifted, g.constant(0.0), g.constant(6.0)]))
        y = g.node("Div", [y, g.constant(6.0)])
    elif kind == "gelu":
        inner = g.node("Erf", [g.node("Div", [x, g.constant(sqrt(2))])])
        y = gelu_of_gate(g, x, in_any_order(g, "Add", inner, g.constant(1.0)))
    else:
        cube = g.node("Pow", [x, g.constant(3.0)])
        if g.chance():
            cube = in_any_order(g, "Mul", g.node("Mul", [x, x]), x)
        inner = in_any_order(g, "Add", x, in_any_order(g, "Mul", cube, g.constant(0.044715)))
        inner = g.node("Tanh", [in_any_order(g, "Mul", inner, g.constant(sqrt(2 / pi)))])
        y = gelu_of_gate(g, x, in_any_order(g, "Add", inner, g.constant(1.0)))
    g.emit(y, shape)


def gelu_of_gate(g: Any, x: str, gate: str) -> str:
    """`0.5 * x * gate` in one of its orders."""
    half = g.constant(0.5)
    if g.chance():
        return in_any_order(g, "Mul", in_any_order(g, "Mul", x, gate), half)
    return in_any_order(g, "Mul", in_any_order(g, "Mul", x, half), gate)


def softmax(g: Any) -> None:
    x, shape = g.pick(lambda s: True)
    g.emit(g.node(g.choice(["Softmax", "LogSoftmax"]), [x], axis=g.choice([-1, g.integer(1, len(shape))])), shape)


def layer_norm(g: Any) -> None:
    """The op, or as older exporters spell it."""
    x, shape = g.pick(lambda s: s[-1] > 2) or ("", ())
    if not x:
        return
    scale, bias = g.uniform(shape[-1]), g.normal(shape[-1])
    if g.opset >= 17 and g.chance():
        g.emit(g.node("LayerNormalization", [x, scale, bias], epsilon=1e-2), shape)
        return

    def mean(v: str) -> str:
        return g.node("ReduceMean", *([[v, g.numbers(-1)]] if g.opset >= 18 else [[v]]),
                      **({} if g.opset >= 18 else {"axes": [-1]}))  # fmt: skip

    d = g.node("Sub", [x, mean(x)])
    squared = g.node("Pow", [d, g.constant(2.0)]) if g.chance() else g.node("Mul", [d, d])
    root = g.node("Sqrt", [g.node("Add", [mean(squared), g.constant(1e-2)])])
    if g.chance():
        y = in_any_order(g, "Mul", g.node("Div", [d, root]), scale)
    else:
        one = g.constant(1.0)
        inverse = g.node("Reciprocal", [root]) if g.chance() else g.node("Div", [one, root])
        first = g.choice([d, scale])
        y = in_any_order(g, "Mul", in_any_order(g, "Mul", inverse, first), scale if first is d else d)
    g.emit(in_any_order(g, "Add", y, bias), shape)


def instance_norm(g: Any) -> None:
    x, shape = g.pick(lambda s: len(s) >= 2 and np.prod(s[1:]) > 2) or ("", ())
    if x:
        parts = [g.uniform(shape[0]), g.normal(shape[0])]
        g.emit(g.node("InstanceNormalization", [x, *parts], epsilon=1e-2), shape)


def transpose(g: Any) -> None:
    """Of the dims behind the batch; NHWC often."""
    x, shape = g.pick(spatial) or ("", ())
    if x:
        last = [*range(1, len(shape)), 0]
        perm = g.choice(
            [last, [len(shape) - 1, *range(len(shape) - 1)], [int(a) for a in g.rng.permutation(len(shape))]]
        )
        g.emit(g.node("Transpose", [x], perm=[0, *(p + 1 for p in perm)]), [shape[p] for p in perm])


def sandwich(g: Any) -> None:
    """A per-channel Add, and a Relu perhaps, in NHWC, between transposes."""
    x, shape = g.pick(plane) or ("", ())
    if x:
        y = g.node("Transpose", [x], perm=[0, 2, 3, 1])
        y = in_any_order(g, g.choice(["Add", "Mul"]), y, g.uniform(shape[0]))
        y = g.node("Relu", [y]) if g.chance() else y
        g.emit(g.node("Transpose", [y], perm=[0, 3, 1, 2]), shape)


def reshape(g: Any) -> None:
    """Flatten, Reshape by 0 or -1 or a chain of shapes, Squeeze, Unsqueeze."""
    x, shape = g.pick(lambda s: True)
    whole = int(np.prod(shape))
    kind = g.integer(0, 4)
    if kind == 0:
        g.emit(g.node("Flatten", [x]), [whole])
    elif kind == 1:
        g.emit(g.node("Reshape", [x, g.numbers(0, -1)]), [whole])
    elif kind == 2 and len(shape) > 1:
        size = g.node("Gather", [g.node("Shape", [x]), g.numbers(0)], axis=0)
        dims = [shape[0], whole // shape[0]]
        g.emit(g.node("Reshape", [x, g.node("Concat", [size, g.numbers(dims[0], -1)], axis=0)]), dims)
    elif kind == 3:
        axis = g.integer(1, len(shape) + 1)
        g.emit(g.node("Unsqueeze", [x, g.numbers(axis)]), [*shape[: axis - 1], 1, *shape[axis - 1 :]])
    elif (ones := [a for a, n in enumerate(shape) if n == 1]) and len(shape) > 1:
        axis = g.choice(ones)
        g.emit(g.node("Squeeze", [x, g.numbers(axis + 1)]), [*shape[:axis], *shape[axis + 1 :]])


def concat(g: Any) -> None:
    """Two or three values, perhaps the same one."""
    x, shape = g.pick(lambda s: True)
    axis = g.integer(0, len(shape) - 1)
    fitting = [v for v in g.values if len(v[1]) == len(shape) and all(
        n == m for a, (n, m) in enumerate(zip(v[1], shape, strict=True)) if a != axis)]  # fmt: skip
    parts = [(x, shape), *(g.choice(fitting) for _ in range(g.integer(1, 2)))]
    g.rng.shuffle(parts)
    y = g.node("Concat", [n for n, _ in parts], axis=g.choice([axis + 1, axis - len(shape)]))
    g.emit(y, [*shape[:axis], sum(s[axis] for _, s in parts), *shape[axis + 1 :]])


def split(g: Any) -> None:
    x, shape = g.pick(lambda s: s[0] > 1) or ("", ())
    if x:
        first = g.integer(1, shape[0] - 1)
        y = g.node("Split", [x, g.numbers(first, shape[0] - first)], outputs=2, axis=1)
        g.emit(y, [first, *shape[1:]])
        g.emit(f"{y}_1", [shape[0] - first, *shape[1:]])


def slice_(g: Any) -> None:
    """Forwards or backwards along an axis behind the batch; or a Gather."""
    x, shape = g.pick(lambda s: True)
    axis = g.integer(0, len(shape) - 1)
    size = shape[axis]
    if g.chance(0.25):
        indices = [g.integer(-size, size - 1) for _ in range(g.integer(1, 3))]
        g.emit(
            g.node("Gather", [x, g.numbers(*indices)], axis=axis + 1), [*shape[:axis], len(indices), *shape[axis + 1 :]]
        )
        return
    start, stop, step = g.choice([(0, size, 2), (1, 1 << 40, 1), (0, -1, 1), (-1, -(1 << 40), -1), (-2, size, 1)])
    left = len(range(*slice(start, stop, step).indices(size)))
    y = g.node("Slice", [x, *map(g.numbers, (start, stop, axis + 1, step))])
    g.emit(y, [*shape[:axis], left, *shape[axis + 1 :]])


def pad(g: Any) -> None:
    """By zeros, which a convolution may take over, or otherwise; negative pads cut."""
    x, shape = g.pick(spatial) or ("", ())
    if not x:
        return
    mode = g.choice(["constant", "constant", "edge", "reflect"])
    low = 0 if mode != "constant" else -1
    before, after = ([0, 0, *(g.integer(low, 1) for _ in shape[1:])] for _ in range(2))
    out = [n + b + a for n, b, a in zip(shape, before[1:], after[1:], strict=True)]
    if min(out) < 1 or (mode == "reflect" and min(shape[1:]) < 2):
        return
    value = [g.constant(g.choice([0.0, 0.0, 1.5]))] if mode == "constant" and g.chance(0.7) else []
    g.emit(g.node("Pad", [x, g.numbers(*before, *after), *value], mode=mode), out)


def mix(g: Any) -> None:
    """Items of the batch are mixed: the graph is not batch-wise any more."""
    x, shape = g.pick(lambda s: True)
    g.batch_wise = False
    if g.chance():
        y = g.node("Softmax", [x], axis=0)
    else:
        axes = {"inputs": [x, g.numbers(0)]} if g.opset >= 18 else {"inputs": [x], "axes": [0]}
        y = g.node("Sub", [x, g.node("ReduceMean", keepdims=1, **axes)])
    g.emit(y, shape)


def squeeze_excite(g: Any) -> None:
    """A global mean, two 1x1 convolutions, and a product."""
    x, shape = g.pick(plane) or ("", ())
    if x:
        y = g.node("GlobalAveragePool", [x])
        y = g.node("Relu", [g.node("Conv", [y, g.normal(2, shape[0], 1, 1, scale=shape[0] ** -0.5)])])
        y = g.node(g.choice(["Sigmoid", "HardSigmoid"]), [g.node("Conv", [y, g.normal(shape[0], 2, 1, 1)])])
        g.emit(in_any_order(g, "Mul", x, y), shape)


def attention(g: Any) -> None:
    """`softmax(x x^T) x` of [N, L, D]."""
    x, shape = g.pick(lambda s: len(s) == 2) or ("", ())
    if x:
        keys = g.node("Transpose", [x], perm=[0, 2, 1])
        scores = g.node("Mul", [g.node("MatMul", [x, keys]), g.constant(shape[1] ** -0.5)])
        g.emit(g.node("MatMul", [g.node("Softmax", [scores], axis=-1), x]), shape)


FOLLOWERS: list[Callable[[Any], None]] = [
    *[with_constant] * 3, *[batch_norm] * 2, *[unary] * 4, newer_unary, *[clip] * 2, *[spelled_activation] * 2,
    *[with_value] * 2, sandwich, transpose, reshape,
]  # fmt: skip
"""What stands behind a convolution or a product in real networks."""


def block(g: Any) -> None:
    """A convolution, product or batch-norm, perhaps padded, and a chain of what may be folded into it."""
    before = len(g.values)
    if g.chance(0.25):
        pad(g)
    g.straight = len(g.values) > before
    g.choice([conv, conv, conv, conv_transpose, dense, dense, batch_norm])(g)
    g.straight = len(g.values) > before
    for _ in range(g.integer(1, 4)):
        g.choice(FOLLOWERS)(g)
    g.straight = False


STEPS: list[Callable[[Any], None]] = [
    *[block] * 16, *[conv] * 4, conv_same, conv_transpose, conv_transpose, *[pool] * 2, global_pool, reduce_some,
    *[dense] * 3, batch_norm, *[with_constant] * 2, *[with_value] * 4, *[unary] * 3, newer_unary, clip,
    spelled_activation, softmax, layer_norm, layer_norm, instance_norm, *[transpose] * 2, *[sandwich] * 2,
    *[reshape] * 3, *[concat] * 2, split, split, *[slice_] * 2, *[pad] * 3, mix, squeeze_excite, attention,
]  # fmt: skip
"""Each as often as its layer deserves."""
