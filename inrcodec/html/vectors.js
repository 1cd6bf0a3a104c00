// Three numbers at a time, and a grid of distances; in worker.js and in the page.

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const times = (m, v) => [0, 3, 6].map(i => m[i] * v[0] + m[i + 1] * v[1] + m[i + 2] * v[2]); // 3 x 3, row by row
const transposed = m => [0, 3, 6, 1, 4, 7, 2, 5, 8].map(i => m[i]);
const unit = a => {
  const size = Math.sqrt(dot(a, a)) || 1;
  return [a[0] / size, a[1] / size, a[2] / size];
};

/** The distance at (z, y, x) in cells of the grid, linear between its vertices. */
function between({ values, cells }, z, y, x) {
  const top = cells - 1e-6, n = cells + 1;
  z = Math.min(Math.max(z, 0), top);
  y = Math.min(Math.max(y, 0), top);
  x = Math.min(Math.max(x, 0), top);
  const k = Math.floor(z), j = Math.floor(y), i = Math.floor(x), at = (k * n + j) * n + i, s = z - k, t = y - j, u = x - i;
  const line = from => values[from] * (1 - u) + values[from + 1] * u, face = from => line(from) * (1 - t) + line(from + n) * t;
  return face(at) * (1 - s) + face(at + n * n) * s;
}
