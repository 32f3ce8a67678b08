"""Sliding windows over images in CUDA source: the geometry that im2col, convolutions and pools share.

Channels first, a thread computes a pack of neighbouring positions of one channel; channels last, a pack of
neighbouring channels of one position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ....dialects.nn.windows import Window
from . import source

MANY_THREADS = 1 << 16
"""Threads that keep a large GPU busy; kernels with fewer do not trade them for wider stores."""

TAPS_AT_ONCE = 16
"""Packs that a thread reads at once: they fill a fourth of its registers."""

LONGEST_SEGMENT = 64
"""Elements of a row that a thread keeps in registers."""


@dataclass(frozen=True)
class Geometry:
    """A window over three spatial dims; fewer are led by dims of size 1. Each tuple has one number per dim."""

    sizes: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]

    @classmethod
    def of(cls, window: Window, spatial: Sequence[int], out: Sequence[int]) -> Geometry:
        """The geometry of `window` over data of the sizes `spatial`, at `out` positions."""
        lead = (1,) * (3 - len(spatial))
        return cls(
            (*lead, *spatial),
            (*lead, *out),
            (*lead, *window.kernel),
            (*lead, *window.strides),
            (*lead, *window.dilations),
            (*(0 for _ in lead), *window.before),
        )

    @property
    def taps(self) -> int:
        """The kernel's positions."""
        return prod(self.kernel)

    @property
    def positions(self) -> int:
        """The window's positions, of one channel."""
        return prod(self.out)

    @property
    def pixels(self) -> int:
        """The data's elements, of one channel."""
        return prod(self.sizes)

    def _leaves_data(self, axis: int) -> bool:
        """Whether a window reaches beyond the data along an axis."""
        last = (self.out[axis] - 1) * self.strides[axis] - self.before[axis]
        return self.before[axis] > 0 or last + self.dilations[axis] * (self.kernel[axis] - 1) >= self.sizes[axis]

    def inside(self, axis: int, position: str) -> str:
        """A condition: whether a position along an axis, an int, is in the data."""
        return f"(unsigned int){position} < {self.sizes[axis]}u" if self._leaves_data(axis) else "true"

    def pack_width(self, dtype: str, planes: int, packed: bool) -> int:
        """How many neighbouring positions of a row one thread computes, with `planes` channels of them in all."""
        width = source.pack_width([dtype], [self.out[2]]) if packed else 1
        while width > 1 and (planes * self.positions // width < MANY_THREADS or self._segment(width) > LONGEST_SEGMENT):
            width //= 2
        return width

    def _segment(self, width: int) -> int:
        """How many elements of a row `width` neighbouring windows see, those between them included."""
        return (width - 1) * self.strides[2] + (self.kernel[2] - 1) * self.dilations[2] + 1

    def place(self, width: int) -> str:
        """Declares, for thread `i`: its `plane`, its first position `q`, and where its window starts: d0, h0, w0."""
        _, height, row = self.out
        positions = (f"q / {height * row}", f"q / {row} % {height}", f"q % {row}")
        starts = ", ".join(
            f"{name}0 = {position} * {self.strides[axis]} - {self.before[axis]}"
            for axis, (name, position) in enumerate(zip("dhw", positions, strict=True))
        )
        packs = self.positions // width
        return f"""
  const index plane = i / {packs};
  const int q = (int)(i % {packs}) * {width};
  const int {starts};"""

    def taps_loop(self, width: int, type_: str, read: str, padding: str, step: str, after: str = "") -> str:
        """Runs `step` for each kernel position (a, b, c) and window `v` of a thread, then `after` for each position.

        `step` finds in `seen` what the window sees there: `read` of `x[at]` in the data, `padding` outside of it.
        """
        depth, height, _ = self.kernel
        unroll = "#pragma unroll" if self.taps <= 64 else "#pragma unroll 1"
        inner = self._short_row(width, type_, read, padding, step, after)
        if self._segment(width) > LONGEST_SEGMENT:
            inner = self._long_row(type_, read, padding, step, after)
        return f"""
{unroll}
  for (int a = 0; a < {depth}; a++)
{unroll}
    for (int b = 0; b < {height}; b++) {{
      const int d = d0 + a * {self.dilations[0]}, h = h0 + b * {self.dilations[1]};
      const bool in_rows = {self.inside(0, "d")} && {self.inside(1, "h")};
      const index row = plane * {self.pixels} + (d * {self.sizes[1]} + h) * {self.sizes[2]};
{inner}
    }}"""

    def place_channels_last(self, width: int, channels: int) -> str:
        """Declares, for thread `i`: its `image`, its first channel `k`, and where its window starts: d0, h0, w0."""
        lines = [
            "  index rest = i;",
            f"  const int k = (int)(rest % {channels // width}) * {width}; rest /= {channels // width};",
        ]
        for axis, name in ((2, "w"), (1, "h"), (0, "d")):
            start = f"(int)(rest % {self.out[axis]}) * {self.strides[axis]} - {self.before[axis]}"
            lines.append(f"  const int {name}0 = {start}; rest /= {self.out[axis]};")
        return "\n".join([*lines, "  const index image = rest;"])

    def taps_channels_last(self, width: int, dtype: str, apart: int, step: str) -> str:
        """Runs `step` for each kernel position (a, b, c) in the data and each channel `v` of the pack, as `seen`.

        The pixels of the data begin `apart` elements after one another.
        Packs are read many at once, and before any is used: one after the other they would be waited for.
        """
        if not self.pixels:
            return ""
        pack = f"Pack<{source.c_type(dtype)}, {width}>"
        unroll = "#pragma unroll" if self.taps <= 64 else "#pragma unroll 1"
        turns = -(-self.taps // TAPS_AT_ONCE)
        at_once = -(-self.taps // turns)
        _, height, row = self.kernel
        position = f"tap = first + t, a = tap / {height * row}, b = tap / {row} % {height}, c = tap % {row}"
        return f"""
{unroll}
  for (int first = 0; first < {self.taps}; first += {at_once}) {{
    {pack} there[{at_once}];
    bool inside[{at_once}];
#pragma unroll
    for (int t = 0; t < {at_once}; t++) {{
      const int {position};
      const int d = d0 + a * {self.dilations[0]}, h = h0 + b * {self.dilations[1]}, w = w0 + c * {self.dilations[2]};
      inside[t] = tap < {self.taps} && {self.inside(0, "d")} && {self.inside(1, "h")} && {self.inside(2, "w")};
      const index pixel = ((image * {self.sizes[0]} + d) * {self.sizes[1]} + h) * {self.sizes[2]} + w;
      there[t] = *(const {pack}*)(x + (inside[t] ? pixel : 0) * {apart} + k);
    }}
#pragma unroll
    for (int t = 0; t < {at_once}; t++) {{
      const int {position};
      if (!inside[t]) continue;
#pragma unroll
      for (int v = 0; v < {width}; v++) {{
        const A seen = load(there[t].v[v]);
        {step}
      }}
    }}
  }}"""

    def _short_row(self, width: int, type_: str, read: str, padding: str, step: str, after: str) -> str:
        """A kernel row by way of registers: each element that neighbouring windows share is read once."""
        length = self._segment(width)
        return f"""      {type_} segment[{length}];
#pragma unroll
      for (int s = 0; s < {length}; s++) {{
        const int w = w0 + s;
        const index at = row + w;
        segment[s] = in_rows && {self.inside(2, "w")} ? {read} : {padding};
      }}
#pragma unroll
      for (int c = 0; c < {self.kernel[2]}; c++) {{
#pragma unroll
        for (int v = 0; v < {width}; v++) {{
          const {type_} seen = segment[v * {self.strides[2]} + c * {self.dilations[2]}];
          {step}
        }}
        {after}
      }}"""

    def _long_row(self, type_: str, read: str, padding: str, step: str, after: str) -> str:
        """A kernel row element by element, for the one window of a thread."""
        return f"""      const int v = 0;
#pragma unroll 1
      for (int c = 0; c < {self.kernel[2]}; c++) {{
        const int w = w0 + c * {self.dilations[2]};
        const index at = row + w;
        const {type_} seen = in_rows && {self.inside(2, "w")} ? {read} : {padding};
        {step}
        {after}
      }}"""
