"""Blocks of tiles for `winograd`: their memory, and the way to their values and back.

A small matrix takes the pixels of each tile to its values along an axis, by one matrix product of
NumPy for all tiles, with rows as long as the channels of all images of a block. So a block lies in
memory in the order (axes ..., image, channel), and its values as (values ..., tiles ..., image,
channel). It is walked through by rows of tiles, so few that the values stay in a core's cache
from one step to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from backprop.kernels.convolution import MOST_TERMS, tile_pixels, tile_values
from backprop.kernels.switch import kernels
from backprop.layers.convolution.finish import Finish, leave
from backprop.layers.convolution.toom_cook import kernel_matrix, matrices, outputs_of
from backprop.layers.windows import Windows
from backprop.parallel import blocks
from backprop.tuning import TILE_BLOCK, TILE_ROW, TILES_AT_ONCE

Array = np.ndarray


class Room:
    """Arrays by name, over memory that is used again for each block."""

    def __init__(self, dtype: np.dtype):
        self.dtype, self.memory = dtype, {}

    def __call__(self, name: str | int, *shape: int) -> Array:
        size = prod(shape)
        if name not in self.memory or self.memory[name].size < size:
            self.memory[name] = np.empty(size, self.dtype)
        return self.memory[name][:size].reshape(shape)


class Map(NamedTuple):
    """Along one axis, from the pixels of each tile to its values."""

    matrix: Array  # (values, pixels of a tile)
    step: int  # from the first pixel of a tile to that of the next
    tiles: int

    @property
    def pixels(self) -> int:
        return (self.tiles - 1) * self.step + self.matrix.shape[1]


def windows_of(d: Array, one: Map, first: int = 0) -> Array:
    """(..., ..., pixels, row) → (..., ..., tiles, pixels of a tile, row): a view."""
    *outer, pixel, number = d.strides
    shape = *d.shape[:2], one.tiles, one.matrix.shape[1], d.shape[-1]
    strides = *outer, one.step * pixel, pixel, number
    return np.ndarray(shape, d.dtype, d, first * pixel, strides)


def spread(one: Map, v: Array, d: Array, room: Room) -> list[Callable[[], Any]]:
    """Steps that set d to the transpose of `one` times v. Where tiles overlap, they add up."""
    steps: list[Callable[[], Any]] = [partial(d[:, :, one.tiles * one.step :].fill, 0)]
    for first in range(0, one.matrix.shape[1], one.step):
        part = one.matrix[:, first : first + one.step]
        pixels = windows_of(d, Map(part, one.step, one.tiles), first)
        if first:
            sums = room("sums", *pixels.shape)
            steps.append(partial(np.matmul, part.T.copy(), v, out=sums))
            steps.append(partial(np.add, pixels, sums, out=pixels))
        else:
            steps.append(partial(np.matmul, part.T.copy(), v, out=pixels))
    return steps


class Side:
    """The pixels that a block of tiles sees in x, or makes in z, and their values.

        pixels: (pixels ..., images, channels)    values: (values, tiles, images, channels)
        rows: (values, tiles * images, channels), the same memory

    On the way from one to the other, axis by axis, what lies in front of an axis are values and
    tiles, and what lies behind it is a row. All views are made once for all blocks that differ in
    their images alone, because while Python makes one, no other thread can go on.
    """

    def __init__(
        self,
        name: str,
        maps: list[Map],
        first: list[int],
        shape: tuple[int, ...],
        room: Room,
        above: bool,
    ):
        images, *sizes, channels = shape
        d = room(f"{name} pixels", *(one.pixels for one in maps), images, channels)
        self.pixels, self.taking, self.giving = d, [], []
        values = tiles = 1
        for axis, one in enumerate(maps):
            d = d.reshape(values, tiles, one.pixels, -1)
            shape = values, len(one.matrix), tiles, one.tiles, d.shape[-1]
            v = room(f"{name} values" if one is maps[-1] else f"axis {axis}", *shape)
            by_tile = v.transpose(0, 2, 3, 1, 4)
            self.taking.append(partial(np.matmul, one.matrix, windows_of(d, one), out=by_tile))
            self.giving[:0] = spread(one, by_tile, d, room)
            values, tiles, d = values * len(one.matrix), tiles * one.tiles, v
        self.values = d.reshape(values, tiles, images, channels)
        self.rows = d.reshape(values, -1, channels)

        inside, self.there = [], []  # where the image lies: in `pixels`, and in itself
        for i, one, n in zip(first, maps, sizes, strict=True):
            start, stop = max(i, 0), min(i + one.pixels, n)
            inside.append(slice(start - i, stop - i))
            self.there.append(slice(start, stop))
        self.image = np.moveaxis(self.pixels[*inside], -2, 0)
        self.around = [
            part
            for axis, middle in enumerate(inside)
            for part in (
                self.pixels.swapaxes(0, axis)[: middle.start],
                self.pixels.swapaxes(0, axis)[middle.stop :],
            )
            if part.size
        ]
        overlap = maps[0].matrix.shape[1] - maps[0].step if above else 0
        self.shared = max(overlap - inside[0].start, 0)  # rows that the tiles above add to as well

    def take(self, x: Array, images: slice) -> None:
        """The values of the pixels of (N, sizes ..., C)."""
        self.read(x, images)
        for step in self.taking:
            step()

    def give(self, x: Array, images: slice, finish: Finish = leave) -> None:
        """The transpose of `take`: the pixels become sums over the values."""
        for step in self.giving:
            step()
        finish(self.pixels)
        self.write(x, images)

    def read(self, x: Array, images: slice) -> None:
        """The pixels from (N, sizes ..., C), with zeros around the image."""
        for part in self.around:
            part.fill(0)
        copy_pixels(x[images, *self.there], self.image)

    def write(self, x: Array, images: slice) -> None:
        """The transpose of `read`: set, or added where the tiles above have been."""
        x = x[images, *self.there]
        if self.shared:
            x[:, : self.shared] += self.image[:, : self.shared]
        copy_pixels(self.image[:, self.shared :], x[:, self.shared :])


def copy_pixels(x: Array, out: Array) -> None:
    """out = x, with the channels of a pixel as one item that NumPy copies in one go."""
    if x.dtype == out.dtype and x.strides[-1] == out.strides[-1] == x.itemsize:
        item = f"V{x.shape[-1] * x.itemsize}"
        x, out = x.view(item), out.view(item)
    np.copyto(out, x)


class Compiled:
    """The same along one axis or two, by loops that need no copy of the pixels, nor long rows.

    values: (values, tiles * images, 1, channels)    rows: (values, images * tiles, channels)
    """

    def __init__(
        self,
        name: str,
        maps: list[Map],
        first: list[int],
        shape: tuple[int, ...],
        room: Room,
        above: bool,
    ):
        images, *sizes, channels = shape
        if len(maps) == 1:
            alone = Map(np.ones((1, 1), room.dtype), 1, 1)
            maps, first, sizes = [alone, *maps], [0, *first], [1, *sizes]
        down, along = maps
        covered = -(-along.pixels // along.step) * along.step
        between = room("between", len(down.matrix), covered, channels)
        values = len(down.matrix) * len(along.matrix)
        self.tiles = room(f"{name} values", values, images, down.tiles, along.tiles, channels)
        self.values = self.tiles.reshape(values, -1, 1, channels)
        self.rows = self.tiles.reshape(values, -1, channels)
        self.maps = down.matrix, along.matrix, between
        self.places = first[0], first[1], down.step, along.step
        self.shape, self.above, self.whole = (*sizes, channels), above, slice(None)
        if images == 1:  # a part of an image, which lies in one piece
            self.whole = slice(max(first[0], 0), min(first[0] + down.pixels, sizes[0]))

    def take(self, x: Array, images: slice) -> None:
        x = x[images].reshape(-1, *self.shape)
        tile_values(x, *self.maps, self.tiles, *self.places)

    def give(self, x: Array, images: slice, finish: Finish = leave) -> None:
        x = x[images].reshape(-1, *self.shape)
        tile_pixels(self.tiles, *self.maps, x, *self.places, self.above)
        if finish is not leave:
            finish(x[:, self.whole])


AnySide = Side | Compiled


class Block(NamedTuple):
    """Some tiles of some images: what they see, and what they make of it."""

    x: AnySide
    z: AnySide


class Tiles:
    """All tiles of a batch: how many there are, and how they are walked through.

    x: (N, sizes ..., C)    z: (N, counts ..., filters), the sums over windows of x
    """

    def __init__(self, x: Array, z: Array, windows: Windows, by_channel: bool):
        self.dtype, self.x, self.z = x.dtype, x.shape[1:], z.shape[1:]
        self.before = [first for first, _ in windows.margins(x.shape[1:-1])]
        self.strides = windows.strides
        each = zip(z.shape[1:-1], windows.size, windows.strides, strict=True)
        axes = tuple((outputs_of(count, r, s), r, s) for count, r, s in each)
        self.matrices = [matrices(*axis, x.dtype) for axis in axes]
        self.g = kernel_matrix(axes, x.dtype)
        self.counts = [-(-n // m) for n, (m, _, _) in zip(z.shape[1:-1], axes, strict=True)]
        channels, filters = x.shape[-1], z.shape[-1]
        longer = 2 if by_channel else 1  # passes over V and M are shorter than products
        at_once = longer * max(TILE_BLOCK // (channels + filters), TILES_AT_ONCE)
        small = at_once // prod(self.counts)  # images that are not worth a block each
        terms = max(max(one.d.shape) for one in self.matrices)
        self.compiled = len(axes) <= 2 and terms <= MOST_TERMS and kernels() == "numba"
        row = 1 if self.compiled else longer * TILE_ROW // min(channels, filters)
        self.images = max(row, small, 1)
        self.rows = max(at_once // (self.images * prod(self.counts[1:])), 1)
        self.numbers = len(self.g) * prod(self.counts) * (channels + filters)  # V and M, an image

    def blocks(self, part: slice) -> Iterator[tuple[slice, Block]]:
        """Those of some images, with the images of each."""
        room, known = Room(self.dtype), {}
        for images in blocks(part, self.images):
            for rows in blocks(slice(0, self.counts[0]), self.rows):
                kind = images.stop - images.start, rows.start
                if kind not in known:
                    known[kind] = self._block(kind[0], rows, room)
                yield images, known[kind]

    def _block(self, images: int, rows: slice, room: Room) -> Block:
        of_x, of_z, in_x, in_z = [], [], [], []
        tiles = [rows, *(slice(0, count) for count in self.counts[1:])]
        for one, stride, before, part in zip(
            self.matrices, self.strides, self.before, tiles, strict=True
        ):
            m, count = one.outputs, part.stop - part.start
            of_x.append(Map(one.d, m * stride, count))
            of_z.append(Map(one.a, m, count))
            in_x.append(part.start * m * stride - before)
            in_z.append(part.start * m)
        side = Compiled if self.compiled else Side
        return Block(
            side("x", of_x, in_x, (images, *self.x), room, rows.start > 0),
            side("z", of_z, in_z, (images, *self.z), room, False),
        )
