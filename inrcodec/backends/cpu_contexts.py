"""The rate of a table by its context network and the gradients of it, compiled for the CPU by Numba: see fit/contexts.py.

One call handles rows of one plane, a row being vertices along the last axis; it runs on the calling thread and without Python's lock.
"""

import math

import numpy as np
from numba import float32, float64, int64, njit, void

from inrcodec.context import LOG2_SCALES

_BLOCK = 256  # vertices whose inputs and neurons stay in the first cache
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_PER_LN2, _LN2 = np.float32(1 / math.log(2.0)), np.float32(math.log(2.0))
_LOWEST, _HIGHEST = (np.float32(limit) for limit in LOG2_SCALES)
_SMALLEST = np.float32(1e-6)
_vector, _matrix, _indices = float32[::1], float32[:, ::1], int64[::1]


@njit(inline="always")
def _laplace(z, log_scale):
    """Bits of a unit interval around z, and their slopes in z and in log_scale."""
    a = abs(z)
    inverse = np.float32(math.exp(-log_scale * _LN2))
    if a < _HALF:
        near, far = np.float32(math.exp((a - _HALF) * inverse)), np.float32(math.exp(-(a + _HALF) * inverse))
        p = max(_ONE - _HALF * (near + far), _SMALLEST)
        bits = -np.float32(math.log(p))
        slope = _HALF * inverse * (near - far) / p
        turn = _HALF * (near * (a - _HALF) - far * (a + _HALF)) / p
    else:
        decay = np.float32(math.exp(-inverse))
        bits = (a - _HALF) * inverse - np.float32(math.log(_HALF - _HALF * decay))
        slope = inverse
        turn = (a - _HALF) - decay / (_ONE - decay)
    return bits * _PER_LN2, (slope if z >= _ZERO else -slope) * _PER_LN2, -turn * inverse


_SIGNATURE = float64(
    *(_vector, _vector, _indices, _indices, int64, _vector, _vector, _indices, _indices, _vector),
    *(_matrix, _matrix, _matrix, _matrix, int64, int64),
    *(_vector, _vector, _vector, _vector, _vector, _matrix, _matrix, _matrix, _vector),
)


@njit(_SIGNATURE, nogil=True, cache=True, fastmath={"contract", "nsz", "reassoc"})
def rate(
    v, compressed, bases, deltas, near, parent, box, parent_bases, parent_last, before,
    a1, a2, b, bias, plane, level,
    grad_v, grad_compressed, grad_parent, grad_box, grad_before, grad_a1, grad_a2, grad_b, grad_bias,
):  # fmt: skip
    """Bits of the rows that begin at `bases` in the padded plane v (flat), gradients added to the arrays grad_*.

    compressed is sign(v) log2(1 + |v|); parent and box, compressed too, are the level before's (empty where there is none), read at
    parent_bases[row] + parent_last[column]; before (rows * columns, or empty) is the compressed feature before. deltas: the neighbours'
    distances, the first `near` of which are summed; level: what the input of that name says.
    """
    h, inputs = a1.shape[0], a1.shape[1] - 1
    count, columns = deltas.size, parent_last.size
    x, dx = np.zeros((inputs, _BLOCK), dtype=np.float32), np.zeros((inputs, _BLOCK), dtype=np.float32)
    hidden, slopes = np.empty((h, _BLOCK), dtype=np.float32), np.empty((h, _BLOCK), dtype=np.float32)
    total, place, scale = np.empty(_BLOCK, dtype=np.float32), np.empty(_BLOCK, dtype=np.float32), np.empty(_BLOCK, dtype=np.float32)
    x[inputs - 1, :] = np.float32(level)
    bits = 0.0
    for r in range(bases.size):
        for start in range(0, columns, _BLOCK):
            m = min(_BLOCK, columns - start)
            base = bases[r] + start
            total[:m] = _ZERO
            for i in range(count):
                own = compressed[base + deltas[i] : base + deltas[i] + m]
                row = x[i]
                for j in range(m):
                    row[j] = own[j]
                if i < near:
                    size = v[base + deltas[i] : base + deltas[i] + m]
                    for j in range(m):
                        total[j] += abs(size[j])
            row = x[count]
            for j in range(m):
                row[j] = np.float32(math.log(_ONE + total[j])) * _PER_LN2
            if parent.size:
                first, second = x[count + 1], x[count + 2]
                for j in range(m):
                    where = parent_bases[r] + parent_last[start + j]
                    first[j] = parent[where]
                    second[j] = box[where]
            if before.size:
                x[count + 3, :m] = before[r * columns + start : r * columns + start + m]
            place[:m] = bias[0, plane]
            scale[:m] = bias[1, plane]
            for n in range(h):
                out = hidden[n, :m]
                out[:] = a1[n, inputs]
                for i in range(inputs):
                    w, row = a1[n, i], x[i]
                    for j in range(m):
                        out[j] += w * row[j]
                w, u = a2[0, n], a2[1, n]
                for j in range(m):
                    out[j] = out[j] if out[j] > _ZERO else _ZERO
                    place[j] += w * out[j]
                    scale[j] += u * out[j]
            for i in range(inputs):
                w, u, row = b[0, i], b[1, i], x[i]
                for j in range(m):
                    place[j] += w * row[j]
                    scale[j] += u * row[j]
            value, grad = v[base : base + m], grad_v[base : base + m]
            for j in range(m):
                limited = min(max(scale[j], _LOWEST), _HIGHEST)
                each, slope, turn = _laplace(value[j] - place[j], limited)
                bits += each
                grad[j] += slope
                place[j] = -slope
                scale[j] = turn if limited == scale[j] else _ZERO
            for j in range(m):
                grad_bias[0] += place[j]
                grad_bias[1] += scale[j]
            for i in range(inputs):
                w, u, row, back = b[0, i], b[1, i], x[i], dx[i]
                first_sum, second_sum = _ZERO, _ZERO
                for j in range(m):
                    back[j] = w * place[j] + u * scale[j]
                    first_sum += place[j] * row[j]
                    second_sum += scale[j] * row[j]
                grad_b[0, i] += first_sum
                grad_b[1, i] += second_sum
            for n in range(h):
                w, u, out, back = a2[0, n], a2[1, n], hidden[n], slopes[n]
                first_sum, second_sum, third_sum = _ZERO, _ZERO, _ZERO
                for j in range(m):
                    first_sum += place[j] * out[j]
                    second_sum += scale[j] * out[j]
                    back[j] = w * place[j] + u * scale[j] if out[j] > _ZERO else _ZERO
                    third_sum += back[j]
                grad_a2[0, n] += first_sum
                grad_a2[1, n] += second_sum
                grad_a1[n, inputs] += third_sum
                for i in range(inputs):
                    q, row, into = a1[n, i], x[i], dx[i]
                    first_sum = _ZERO
                    for j in range(m):
                        first_sum += back[j] * row[j]
                        into[j] += q * back[j]
                    grad_a1[n, i] += first_sum
            back = dx[count]
            for j in range(m):
                back[j] *= _PER_LN2 / (_ONE + total[j])
            for i in range(count):
                into, row = grad_compressed[base + deltas[i] : base + deltas[i] + m], dx[i]
                for j in range(m):
                    into[j] += row[j]
                if i < near:
                    size, into = v[base + deltas[i] : base + deltas[i] + m], grad_v[base + deltas[i] : base + deltas[i] + m]
                    for j in range(m):
                        into[j] += back[j] if size[j] > _ZERO else -back[j] if size[j] < _ZERO else _ZERO
            if parent.size:
                first, second = dx[count + 1], dx[count + 2]
                for j in range(m):
                    where = parent_bases[r] + parent_last[start + j]
                    grad_parent[where] += first[j]
                    grad_box[where] += second[j]
            if before.size:
                into, row = grad_before[r * columns + start : r * columns + start + m], dx[count + 3]
                for j in range(m):
                    into[j] += row[j]
    return bits


@njit(void(_vector, _vector), nogil=True, cache=True, fastmath={"contract", "nsz"})
def compress(v, out):
    """out = sign(v) log2(1 + |v|)."""
    for j in range(v.size):
        size = np.float32(math.log(_ONE + abs(v[j]))) * _PER_LN2
        out[j] = size if v[j] >= _ZERO else -size


@njit(void(_vector, _vector, _vector), nogil=True, cache=True, fastmath={"contract", "nsz"})
def compress_backward(v, grad, into):
    """Add to `into` what the gradient of compress(v) gives for v."""
    for j in range(v.size):
        into[j] += grad[j] * _PER_LN2 / (_ONE + abs(v[j]))
