"""Passes over scattered points, compiled for the CPU by Numba: hash-grid features, and the angles of a sine layer on coordinates.

Each runs on the calling thread and without Python's lock, as those of cpu_kernels.py. Arrays are in C order; coordinates (d, n) and
features (k, n) have the samples last. Corners are formed anew on the way back: that costs less than to write and read them.
"""

import math

import numpy as np
from numba import boolean, float32, float64, int64, njit, void

from inrcodec.networks.hashgrid import PRIMES

_PRIMES = PRIMES
_BLOCK = 256  # samples whose corners stay in the first cache
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_THREE_HALVES, _FIVE_HALVES = np.float32(1.5), np.float32(2.5)
_TURN, _TURNS = 2 * math.pi, 0.5 / math.pi
_SIGNATURE = void(float32[:, ::1], float64, int64, boolean, int64, float32[:, ::1], float32[:, ::1])


@njit(inline="always")
def _taps(f, taps, along, j):
    """Weights of the vertices along an axis for the fraction f: hashgrid.tap_weights."""
    if taps == 2:
        along[0, j] = _ONE - f
        along[1, j] = f
    else:
        square = f * f
        cube = square * f
        along[0, j] = square - _HALF * (f + cube)
        along[1, j] = _ONE - _FIVE_HALVES * square + _THREE_HALVES * cube
        along[2, j] = _HALF * f + _TWO * square - _THREE_HALVES * cube
        along[3, j] = _HALF * (cube - square)


@njit(inline="always")
def _corners(x, start, m, scale, resolution, dense, entries, taps, scratch, rows, weights):
    """Rows and weights (taps^d, m) of the vertices around the samples of x (d, n) in [0, 1] from `start` on: see networks/hashgrid.py."""
    d = x.shape[0]
    first, along = scratch
    rows[0, :m] = 0
    weights[0, :m] = _ONE
    stride, count = 1, 1
    for k in range(d):
        axis = x[d - 1 - k, start : start + m]
        factor = np.uint32(stride if dense else _PRIMES[k])
        stride = stride * resolution & 0xFFFFFFFF
        for j in range(m):
            position = np.float32(scale * np.float64(axis[j]) + 0.5)
            low = np.floor(position)
            _taps(position - low, taps, along, j)
            first[j] = np.uint32(np.int64(low)) * factor
        for tap in range(taps - 1, -1, -1):
            ahead = np.uint32(tap) * factor
            weight = along[tap]
            for c in range(count):
                row, found = rows[c], weights[c]
                to_row, to_weight = rows[c + tap * count], weights[c + tap * count]
                for j in range(m):
                    at = np.uint32(first[j] + ahead)
                    to_row[j] = row[j] + at if dense else row[j] ^ at
                    to_weight[j] = found[j] * weight[j]
        count *= taps
    for c in range(count):
        _wrap(rows[c], m, entries)


@njit(inline="always")
def _wrap(row, m, entries):
    """row[:m] modulo `entries`."""
    size = np.uint32(entries)
    if entries & (entries - 1) == 0:
        for j in range(m):
            row[j] = row[j] & np.uint32(size - 1)
        return
    inverse = 1.0 / entries
    for j in range(m):
        # The quotient is one too large at most, since it is rounded.
        rest = np.int64(row[j]) - np.int64(np.floor(row[j] * inverse)) * entries
        row[j] = np.uint32(rest + entries if rest < 0 else rest - entries if rest >= entries else rest)


@njit(inline="always")
def _scratch(d, taps):
    shape = (taps**d, _BLOCK)
    vectors = np.empty(_BLOCK, dtype=np.uint32), np.empty((taps, _BLOCK), dtype=np.float32)
    return vectors, np.empty(shape, dtype=np.uint32), np.empty(shape, dtype=np.float32)


@njit(_SIGNATURE, nogil=True, cache=True, fastmath={"contract", "nsz"})
def grid(x, scale, resolution, dense, taps, table, out):
    """out (k, n) = features of one level at x (d, n), in [0, 1], from its table (entries, k)."""
    d, n = x.shape
    scratch, rows, weights = _scratch(d, taps)
    for start in range(0, n, _BLOCK):
        m = min(_BLOCK, n - start)
        _corners(x, start, m, scale, resolution, dense, table.shape[0], taps, scratch, rows, weights)
        out[:, start : start + m] = _ZERO
        f = 0
        while f + 1 < table.shape[1]:
            y, z = out[f, start : start + m], out[f + 1, start : start + m]
            for c in range(rows.shape[0]):
                row, weight = rows[c], weights[c]
                for j in range(m):
                    r, w = row[j], weight[j]
                    y[j] += w * table[r, f]
                    z[j] += w * table[r, f + 1]
            f += 2
        if f < table.shape[1]:
            y = out[f, start : start + m]
            for c in range(rows.shape[0]):
                row, weight = rows[c], weights[c]
                for j in range(m):
                    y[j] += weight[j] * table[row[j], f]


@njit(_SIGNATURE, nogil=True, cache=True, fastmath={"contract", "nsz"})
def grid_backward(x, scale, resolution, dense, taps, table, grad):
    """Add to `table` (entries, k) its gradient, from that of the features (k, n)."""
    d, n = x.shape
    scratch, rows, weights = _scratch(d, taps)
    for start in range(0, n, _BLOCK):
        m = min(_BLOCK, n - start)
        _corners(x, start, m, scale, resolution, dense, table.shape[0], taps, scratch, rows, weights)
        f = 0
        while f + 1 < table.shape[1]:
            y, z = grad[f, start : start + m], grad[f + 1, start : start + m]
            for c in range(rows.shape[0]):
                row, weight = rows[c], weights[c]
                for j in range(m):
                    r, w = row[j], weight[j]
                    table[r, f] += w * y[j]
                    table[r, f + 1] += w * z[j]
            f += 2
        if f < table.shape[1]:
            y = grad[f, start : start + m]
            for c in range(rows.shape[0]):
                row, weight = rows[c], weights[c]
                for j in range(m):
                    table[row[j], f] += weight[j] * y[j]


@njit(void(float64[:, ::1], float64[:, ::1], float64[::1], float32[:, ::1]), nogil=True, cache=True, fastmath={"contract", "nsz"})
def angles(x, frequency, phase, out):
    """out (h, n) = frequency (h, d) x (d, n) + phase (h), formed in float64, modulo 2 pi in [-pi, pi]."""
    d, n = x.shape
    total = np.empty(_BLOCK, dtype=np.float64)
    for start in range(0, n, _BLOCK):
        m = min(_BLOCK, n - start)
        for i in range(out.shape[0]):
            total[:m] = phase[i]
            for k in range(d):
                axis, w = x[k, start : start + m], frequency[i, k]
                for j in range(m):
                    total[j] += w * axis[j]
            o = out[i, start : start + m]
            for j in range(m):
                a = total[j]
                o[j] = np.float32(a - np.floor(a * _TURNS + 0.5) * _TURN)
