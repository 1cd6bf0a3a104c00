// A shape seen from a camera: rays stride through the distances of a coarse grid, then by the function itself until they reach the surface.
// In worker.js. Rays live in the coordinates of the file; their parameter is a length in the world.

const STEPS = 160, REFINED = 24;
const AMBIENT = [0.15, 0.17, 0.21], KEY = [0.95, 0.9, 0.82], FILL = [0.1, 0.14, 0.2];

/** {rgba, depth} of the pixels of rect [left, top, right, bottom], one of every `stride` each way; depth is Infinity where nothing is met. */
function traced(file, field, camera, [left, top, right, bottom], stride, exact) {
  const columns = Math.ceil((right - left) / stride), rows = Math.ceil((bottom - top) / stride), n = columns * rows;
  const { eye, across, down, ahead, middle, lo, hi, cell, tolerance, matrix, inverse } = camera;
  const directions = new Float64Array(3 * n), depth = new Float64Array(n).fill(Infinity), t = new Float64Array(n), ends = new Float64Array(n);
  const scale = lo.map((l, k) => field.cells / (hi[k] - l));
  let active = [];
  for (let i = 0; i < n; i++) {
    const x = left + (i % columns + 0.5) * stride - middle[0], y = top + (Math.floor(i / columns) + 0.5) * stride - middle[1];
    let near = 0, far = Infinity;
    for (let k = 0; k < 3; k++) {
      const v = ahead[k] + x * across[k] + y * down[k], a = (lo[k] - eye[k]) / v, b = (hi[k] - eye[k]) / v;
      directions[3 * i + k] = v;
      near = Math.max(near, Math.min(a, b));
      far = Math.min(far, Math.max(a, b));
    }
    if (near < far) active.push(i);
    t[i] = near;
    ends[i] = far;
  }
  for (const i of active) {
    const inWorld = times(matrix, directions.subarray(3 * i, 3 * i + 3)), length = Math.sqrt(dot(inWorld, inWorld));
    for (let k = 0; k < 3; k++) directions[3 * i + k] /= length;
    t[i] *= length;
    ends[i] *= length;
  }
  const coarse = i => between(field, ...[0, 1, 2].map(k => (eye[k] + t[i] * directions[3 * i + k] - lo[k]) * scale[k]));
  const margin = exact ? 1.5 * cell : tolerance;
  active = active.filter(i => {
    for (let step = 0; step < STEPS && t[i] < ends[i]; step++) {
      const d = coarse(i);
      if (d < margin) return true;
      t[i] += exact ? Math.max(d - 0.5 * margin, 0.3 * cell) : Math.max(0.9 * d, tolerance);
    }
    return false;
  });
  const at = (chosen, offset) => {
    const points = new Float64Array(3 * chosen.length);
    chosen.forEach((i, j) => {
      for (let k = 0; k < 3; k++) points[3 * j + k] = eye[k] + t[i] * directions[3 * i + k] + (offset ? offset[k] : 0);
    });
    return file.at(points);
  };
  let met = active;
  if (exact) {
    met = [];
    for (let step = 0; active.length && step < 4 * REFINED; step++) {
      const found = at(active);
      active = active.filter((i, j) => {
        if (Math.abs(found[j]) < tolerance || found[j] < 0 && step > REFINED) {
          met.push(i);
          return false;
        }
        t[i] += found[j] * (step < REFINED ? 1 : 0.7);
        return t[i] < ends[i];
      });
    }
  }
  // Slopes from four points around each: distances exact, or of the grid.
  const reach = exact ? 0.15 : 0.7, corners = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]];
  const offsets = corners.map(corner => corner.map((s, k) => s * reach * (hi[k] - lo[k]) / field.cells));
  const slopes = met.map(() => [0, 0, 0]);
  offsets.forEach((offset, c) => {
    const found = exact ? at(met, offset) : met.map(i => between(field, ...[0, 1, 2].map(k =>
      (eye[k] + t[i] * directions[3 * i + k] + offset[k] - lo[k]) * scale[k])));
    met.forEach((_, j) => {
      for (let k = 0; k < 3; k++) slopes[j][k] += corners[c][k] * found[j] / Math.abs(offset[k]);
    });
  });
  const rgba = new Uint8ClampedArray(4 * n);
  met.forEach((i, j) => {
    depth[i] = t[i];
    const normal = unit(times(transposed(inverse), slopes[j]));
    rgba.set(shaded(camera, normal, openness(field, scale, lo, eye, directions, t, i, times(inverse, normal), cell)), 4 * i);
  });
  return { rgba, depth };
}

/** How free the space in front of the surface is, 0 .. 1. */
function openness(field, scale, lo, eye, directions, t, i, outward, cell) {
  let shut = 0, weight = 1;
  for (let step = 1; step <= 4; step++, weight /= 2) {
    const far = 1.6 * step * cell;
    const d = between(field, ...[0, 1, 2].map(k => (eye[k] + t[i] * directions[3 * i + k] + far * outward[k] - lo[k]) * scale[k]));
    shut += weight * Math.max(0, far - d) / far;
  }
  return Math.max(0.1, 1 - 0.7 * shut);
}

function shaded({ lights, view, color }, normal, open) {
  const key = Math.max(0, dot(normal, lights[0])), fill = Math.max(0, dot(normal, lights[1])), rim = (1 - Math.abs(dot(normal, view))) ** 3;
  const glint = Math.max(0, dot(normal, unit(lights[0].map((l, k) => l - view[k])))) ** 40;
  const pixel = color.map((c, k) => 255 * Math.min(1, c * (AMBIENT[k] * open + KEY[k] * key * (0.5 + 0.5 * open) + FILL[k] * fill) + 0.1 * glint + 0.08 * rim * open) ** (1 / 2.2));
  return [...pixel, 255];
}
