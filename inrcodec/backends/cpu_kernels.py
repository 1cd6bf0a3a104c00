"""Fused passes of the sine layers, compiled for the CPU by Numba: one reading and writing of the activations in place of eight.

Each runs on the calling thread and without Python's lock, so that several can work side by side. Arrays are float32 in C order, (neurons,
samples); `group` (neurons,) int32 names the row of `mask` that scales a neuron, -1 for none. Sines and cosines are accurate to 2e-7 for
arguments up to 3e4; beyond that the rounding of the argument itself is larger. Infinities and NaN stay what they are.
"""

import math

import numpy as np
from numba import boolean, float32, int32, int64, njit, void

# pi in four parts, the first three short enough that a multiple of them is exact (Cody and Waite, 1980).
_PI_1, _PI_2 = np.float32(3.140625), np.float32(0.0009670257568359375)
_PI_3, _PI_4 = np.float32(6.2771141529083252e-07), np.float32(1.2154201256553421e-10)
_INVERSE_PI = np.float32(1 / math.pi)
# Near-minimax polynomials on [-pi/2, pi/2].
_S3, _S5, _S7, _S9 = (np.float32(v) for v in (-0.16666657, 0.008333016, -0.00019806548, 2.5999038e-06))
_C4, _C6, _C8, _C10 = (np.float32(v) for v in (0.04166664, -0.0013888403, 2.4761808e-05, -2.6075662e-07))
_ZERO, _HALF, _ONE, _TWO, _FOUR = (np.float32(v) for v in (0, 0.5, 1, 2, 4))
_TINY = np.float32(1e-30)
_BLOCK = 1024  # samples

_matrix, _vector, _rows = float32[:, ::1], float32[::1], int32[::1]
# A product and a sum may become one instruction; sums may be cut into lanes only where nothing depends on their order.
_CONTRACT, _REORDER = {"contract", "nsz"}, {"contract", "nsz", "reassoc"}


@njit(inline="always")
def _sine_cosine(z):
    k = np.floor(z * _INVERSE_PI + _HALF)
    r = z - k * _PI_1
    r = r - k * _PI_2
    r = r - k * _PI_3
    r = r - k * _PI_4
    # Far outside the accurate range the polynomials must not grow.
    r = _TWO if r > _TWO else r
    r = -_TWO if r < -_TWO else r
    q = r * r
    s = r + r * q * (_S3 + q * (_S5 + q * (_S7 + q * _S9)))
    c = _ONE + q * (-_HALF + q * (_C4 + q * (_C6 + q * (_C8 + q * _C10))))
    half = k * _HALF
    sign = _ONE - _FOUR * (half - np.floor(half))
    return sign * s, sign * c


@njit(inline="always")
def _add_quotient(into, sums, mask, start):
    """Add sums / mask to the samples of `into` from `start` on: `sums` were formed with a masked value in place of a value."""
    stop = min(into.shape[1], start + sums.shape[1])
    for i in range(into.shape[0]):
        y, s, m = into[i, start:stop], sums[i], mask[i, start:stop]
        for j in range(y.size):
            # Where the mask is zero so is the sum.
            y[j] += s[j] / (m[j] if m[j] > _TINY else _TINY)


@njit(void(_matrix, _vector, _vector, _vector, _matrix, _rows), nogil=True, cache=True, fastmath=_CONTRACT)
def sine(z, bias, omega, amplitude, mask, group):
    """z (h, n) becomes amplitude * sin(omega * (z + bias)) * mask."""
    for i in range(z.shape[0]):
        row, b, w, a = z[i], bias[i], omega[i], amplitude[i]
        if group[i] < 0:
            for j in range(row.size):
                s, _ = _sine_cosine(w * (row[j] + b))
                row[j] = a * s
        else:
            m = mask[group[i]]
            for j in range(row.size):
                s, _ = _sine_cosine(w * (row[j] + b))
                row[j] = a * s * m[j]


@njit(void(_matrix, _vector, _vector, _vector, _matrix, _rows, _matrix), nogil=True, cache=True, fastmath=_CONTRACT)
def sine_and_slope(z, bias, omega, amplitude, mask, group, out):
    """out = amplitude * sin(omega * (z + bias)) * mask; z becomes d out / d z."""
    for i in range(z.shape[0]):
        row, o, b, w, a = z[i], out[i], bias[i], omega[i], amplitude[i]
        slope = a * w
        if group[i] < 0:
            for j in range(row.size):
                s, c = _sine_cosine(w * (row[j] + b))
                o[j] = a * s
                row[j] = slope * c
        else:
            m = mask[group[i]]
            for j in range(row.size):
                s, c = _sine_cosine(w * (row[j] + b))
                o[j] = a * s * m[j]
                row[j] = slope * c * m[j]


@njit(inline="always")
def _turned(sine, cosine, phase, amplitude):
    """amplitude * (sine, cosine) of an angle turned by `phase`."""
    s, c = amplitude * math.sin(phase), amplitude * math.cos(phase)
    return sine * c + cosine * s, cosine * c - sine * s


@njit(void(_matrix, _matrix, _matrix, _matrix, _vector, _vector, _matrix, _rows, _matrix), nogil=True, cache=True, fastmath=_CONTRACT)
def sine_of_sums(sine_0, cosine_0, sine_1, cosine_1, phase, amplitude, mask, group, out):
    """out (h, r * m) = amplitude * sin(angle_0 + angle_1 + phase) * mask for angles (h, r) and (h, m) given by their sines and cosines."""
    m = sine_1.shape[1]
    for i in range(out.shape[0]):
        s1, c1 = sine_1[i], cosine_1[i]
        for k in range(sine_0.shape[1]):
            p, q = _turned(sine_0[i, k], cosine_0[i, k], phase[i], amplitude[i])
            o = out[i, k * m : (k + 1) * m]
            if group[i] < 0:
                for j in range(m):
                    o[j] = p * c1[j] + q * s1[j]
            else:
                x = mask[group[i], k * m : (k + 1) * m]
                for j in range(m):
                    o[j] = (p * c1[j] + q * s1[j]) * x[j]


@njit(
    void(_matrix, _matrix, _matrix, _matrix, _vector, _vector, _matrix, _rows, _matrix, _matrix, _matrix, _vector, boolean),
    nogil=True,
    cache=True,
    fastmath=_REORDER,
)
def sine_of_sums_backward(sine_0, cosine_0, sine_1, cosine_1, phase, amplitude, mask, group, out, grad, grad_mask, grad_phase, keep):
    """From grad (h, r * m), add to grad_mask (g, r * m) and, summed over the samples, to grad_phase (h).

    With `keep` the gradient of the angles replaces `out`.
    """
    m = sine_1.shape[1]
    sums = np.zeros((max(1, grad_mask.shape[0]), m), dtype=np.float32)
    for k in range(sine_0.shape[1]):
        sums[:] = _ZERO
        for i in range(out.shape[0]):
            s1, c1 = sine_1[i], cosine_1[i]
            p, q = _turned(sine_0[i, k], cosine_0[i, k], phase[i], amplitude[i])
            d, o = grad[i, k * m : (k + 1) * m], out[i, k * m : (k + 1) * m]
            total = _ZERO
            if group[i] < 0:
                for j in range(m):
                    v = d[j] * (q * c1[j] - p * s1[j])
                    total += v
                    if keep:
                        o[j] = v
            else:
                x, y = mask[group[i], k * m : (k + 1) * m], sums[group[i]]
                for j in range(m):
                    v = d[j] * (q * c1[j] - p * s1[j]) * x[j]
                    total += v
                    y[j] += d[j] * o[j]
                    if keep:
                        o[j] = v
            grad_phase[i] += total
        _add_quotient(grad_mask, sums, mask, k * m)


@njit(void(_matrix, _matrix, _matrix, _matrix, _rows, _matrix, _vector), nogil=True, cache=True, fastmath=_REORDER)
def sine_backward(slope, out, grad, mask, group, grad_mask, grad_bias):
    """slope (h, n) becomes grad * slope; added are its sum over the samples to grad_bias (h) and the mask's gradient to grad_mask (g, n).

    grad_mask may have no rows: then it is not asked for.
    """
    n = slope.shape[1]
    sums = np.zeros((max(1, grad_mask.shape[0]), _BLOCK), dtype=np.float32)
    for start in range(0, n, _BLOCK):
        stop = min(n, start + _BLOCK)
        sums[:] = _ZERO
        for i in range(slope.shape[0]):
            row, d = slope[i, start:stop], grad[i, start:stop]
            total = _ZERO
            if group[i] < 0 or grad_mask.shape[0] == 0:
                for j in range(row.size):
                    v = d[j] * row[j]
                    row[j] = v
                    total += v
            else:
                y, o = sums[group[i]], out[i, start:stop]
                for j in range(row.size):
                    v = d[j] * row[j]
                    y[j] += d[j] * o[j]
                    row[j] = v
                    total += v
            grad_bias[i] += total
        _add_quotient(grad_mask, sums, mask, start)


@njit(void(_matrix, _vector), nogil=True, cache=True, fastmath=_CONTRACT)
def relu(z, bias):
    """z (h, n) becomes max(z + bias, 0)."""
    for i in range(z.shape[0]):
        row, b = z[i], bias[i]
        for j in range(row.size):
            v = row[j] + b
            # Written so that NaN stays NaN.
            row[j] = _ZERO if v < _ZERO else v


@njit(void(_matrix, _matrix, _vector), nogil=True, cache=True, fastmath=_REORDER)
def relu_backward(y, grad, grad_bias):
    """y (h, n), max(z, 0), becomes grad where z > 0, else 0, the sum over the samples is added to grad_bias (h)."""
    for i in range(y.shape[0]):
        row, d = y[i], grad[i]
        total = _ZERO
        for j in range(row.size):
            v = d[j] if row[j] > _ZERO else _ZERO
            row[j] = v
            total += v
        grad_bias[i] += total


@njit(void(_matrix, _matrix, _vector), nogil=True, cache=True, fastmath=_REORDER)
def sigmoid_backward(y, grad, grad_bias):
    """y (h, n), a sigmoid of z, becomes the gradient by z, its sum over the samples is added to grad_bias (h)."""
    for i in range(y.shape[0]):
        row, d = y[i], grad[i]
        total = _ZERO
        for j in range(row.size):
            v = d[j] * row[j] * (_ONE - row[j])
            row[j] = v
            total += v
        grad_bias[i] += total


@njit(float32(_matrix, _matrix, _matrix, int64, float32, _matrix), nogil=True, cache=True, fastmath=_REORDER)
def squared_error(output, targets, weights, start, factor, grad):
    """Weighted sum of squares of output (c, n) - targets (c, N) from sample `start` on; grad = factor * weight * difference.

    weights (c, N), or without rows where all are one.
    """
    n = output.shape[1]
    result = 0.0
    for i in range(output.shape[0]):
        y, t, g = output[i], targets[i, start : start + n], grad[i]
        total = _ZERO
        if weights.shape[0] == 0:
            for j in range(n):
                e = y[j] - t[j]
                total += e * e
                g[j] = factor * e
        else:
            w = weights[i, start : start + n]
            for j in range(n):
                e = y[j] - t[j]
                total += w[j] * e * e
                g[j] = factor * w[j] * e
        result += total
    return result
