// A shape on a turntable. At once it is drawn from distances on a coarse grid, then piece by piece from the function itself.

const CELLS = 96, EVERY = 4; // of the grid; only near the surface are all its vertices evaluated
const PIECE_OF = 64, FAST = [4, 2], POINTS = 4096;
const OPENING = Math.tan(Math.PI / 12), AWAY = 2.3; // half the field of view; sides of the box between it and the eye
const TURN = 0.01;

class Shape {
  #canvas;
  #context;
  #pool;
  #told;
  #failed;
  #box;
  #view = { yaw: 0.6, pitch: 0.25, zoom: 1, x: 0, y: 0, up: 'y' };
  #round = 0;
  #quick = null;
  #pieces = new Map();
  #pending = 0;
  #frame = 0;
  #ready;

  constructor(canvas, pool, head, told, failed) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { colorSpace: 'srgb' });
    this.#pool = pool;
    this.#told = told;
    this.#failed = failed;
    this.#box = boxOf(head);
    this.#ready = this.#measure().catch(failed);
  }

  resized() {
    this.#changed();
  }

  fit() {
    this.#view = { ...this.#view, yaw: 0.6, pitch: 0.25, zoom: 1, x: 0, y: 0 };
    this.#changed();
  }

  up(axis) {
    this.#view.up = axis;
    this.#changed();
  }

  drag(dx, dy, aside) {
    const view = this.#view;
    if (aside) Object.assign(view, { x: view.x + dx, y: view.y + dy });
    else {
      const ratio = TURN / devicePixelRatio / Math.max(1, view.zoom);
      Object.assign(view, { yaw: view.yaw - dx * ratio, pitch: Math.min(Math.max(view.pitch + dy * ratio, -1.57), 1.57) });
    }
    this.#changed();
  }

  zoom(factor, x, y) {
    const view = this.#view, zoom = Math.min(Math.max(view.zoom * factor, 0.25), 1000), k = zoom / view.zoom;
    const [left, top] = [x - this.#canvas.width / 2, y - this.#canvas.height / 2];
    Object.assign(view, { zoom, x: left + (view.x - left) * k, y: top + (view.y - top) * k });
    this.#changed();
  }

  /** The world's coordinates of the surface under a pixel; null beside it or before it is known. */
  under(x, y) {
    const depth = this.depth(x, y);
    if (!Number.isFinite(depth)) return null;
    const { eye, right, down, ahead, middle, pixel } = this.camera();
    const [u, v] = [(Math.floor(x) + 0.5 - middle[0]) * pixel, (Math.floor(y) + 0.5 - middle[1]) * pixel];
    const way = unit(ahead.map((a, k) => a + u * right[k] + v * down[k]));
    return { point: eye.map((e, k) => e + depth * way[k]) };
  }

  /** The distance of the surface from the eye at a pixel, in units of the world: Infinity beside it, NaN before it is known. */
  depth(x, y) {
    const [column, row] = [Math.floor(x / PIECE_OF), Math.floor(y / PIECE_OF)], piece = this.#pieces.get(`${row},${column}`);
    return piece ? piece.depth[(Math.floor(y) - row * PIECE_OF) * piece.image.width + Math.floor(x) - column * PIECE_OF] : NaN;
  }

  /** In the world: the eye, unit vectors, the pixel that looks ahead and the width of a pixel at distance 1. */
  camera() {
    const { yaw, pitch, zoom, x, y, up } = this.#view, { width, height } = this.#canvas, { centre, side } = this.#box;
    const turned = (a, b, c) => up === 'y' ? [a, b, c] : [a, -c, b];
    const ahead = turned(-Math.sin(yaw) * Math.cos(pitch), -Math.sin(pitch), -Math.cos(yaw) * Math.cos(pitch));
    const right = turned(Math.cos(yaw), 0, -Math.sin(yaw));
    const down = [0, 1, 2].map(k => ahead[(k + 1) % 3] * right[(k + 2) % 3] - ahead[(k + 2) % 3] * right[(k + 1) % 3]);
    const pixel = OPENING / (Math.min(width, height) / 2) / zoom;
    return { eye: centre.map((c, k) => c - AWAY * side * ahead[k]), right, down, ahead, middle: [width / 2 + x, height / 2 + y], pixel };
  }

  // The camera in the coordinates of the file, where rays live.
  #inside() {
    const { eye, right, down, ahead, middle, pixel } = this.camera(), { lo, hi, matrix, inverse, origin, side } = this.#box;
    const local = v => times(inverse, v), scaled = (v, s) => local(v.map(e => e * s));
    const light = (a, b, c) => unit(ahead.map((_, k) => a * right[k] - b * down[k] - c * ahead[k]));
    return {
      eye: local(eye.map((e, k) => e - origin[k])).map((e, k) => e + lo[k]), across: scaled(right, pixel), down: scaled(down, pixel), ahead: local(ahead),
      middle, lo, hi, matrix, inverse, cell: side / CELLS, tolerance: Math.min(0.25 * pixel * AWAY * side, side / 4000),
      lights: [light(-0.6, 0.75, 0.45), light(0.9, -0.2, 0.2)], view: ahead, color: [0.62, 0.57, 0.5],
    };
  }

  // Distances on the coarse vertices, then on those of the fine grid that are near the surface; the rest is between.
  async #measure() {
    const n = CELLS + 1, m = CELLS / EVERY + 1, { lo, hi, side } = this.#box;
    const point = i => [Math.floor(i / n / n), Math.floor(i / n) % n, i % n].map((e, k) => lo[k] + e / CELLS * (hi[k] - lo[k]));
    const evaluated = async chosen => {
      const parts = [];
      for (let i = 0; i < chosen.length; i += POINTS)
        parts.push(this.#pool.ask('values', { points: Float64Array.from(chosen.slice(i, i + POINTS).flatMap(point)) }, 'field'));
      return (await Promise.all(parts)).flatMap(({ values }) => [...values]);
    };
    const coarse = Array.from({ length: m ** 3 }, (_, i) => ((Math.floor(i / m / m) * n + Math.floor(i / m) % m) * n + i % m) * EVERY);
    const known = { values: Float32Array.from(await evaluated(coarse)), cells: m - 1 }, values = new Float32Array(n ** 3), near = [];
    const band = 1.2 * side / CELLS * EVERY;
    for (let i = 0; i < values.length; i++) {
      values[i] = between(known, Math.floor(i / n / n) / EVERY, Math.floor(i / n) % n / EVERY, i % n / EVERY);
      if (Math.abs(values[i]) < band) near.push(i);
    }
    await this.#pool.all('field', { values, cells: CELLS });
    this.#changed(true);
    (await evaluated(near)).forEach((v, j) => { values[near[j]] = v; });
    await this.#pool.all('field', { values, cells: CELLS });
    this.#ready = null;
    this.#changed();
  }

  #changed(first) {
    const { width, height } = this.#canvas;
    if (!width) return;
    this.#told({ zoom: this.#view.zoom });
    this.#round++;
    this.#pool.drop(this);
    this.#pieces.clear();
    this.#canvas.setAttribute('aria-busy', 'true');
    if (this.#ready && !first) return;
    const camera = this.#inside();
    this.#fast(camera, 0);
  }

  // The whole picture from the grid, in horizontal strips, twice as fine each time.
  #fast(camera, level) {
    const round = this.#round, stride = FAST[level], { width, height } = this.#canvas, edge = 16 * stride, strips = [];
    for (let top = 0; top < height; top += edge)
      strips.push(this.#pool.ask('trace', { camera, rect: [0, top, width, Math.min(top + edge, height)], stride, exact: false }, this));
    Promise.all(strips).then(found => {
      if (round !== this.#round) return;
      const columns = Math.ceil(width / stride), copy = new OffscreenCanvas(columns, Math.ceil(height / stride)), context = copy.getContext('2d');
      found.forEach(({ rgba }, i) => context.putImageData(new ImageData(rgba, columns, rgba.length / 4 / columns), 0, 16 * i));
      this.#quick = { copy, width: columns * stride, height: copy.height * stride };
      this.#draw();
      if (level + 1 < FAST.length) this.#fast(camera, level + 1);
      else if (!this.#ready) this.#exactly(camera);
    }, this.#failed);
  }

  #exactly(camera) {
    const round = this.#round, { width, height } = this.#canvas, rects = [];
    for (let row = 0; row * PIECE_OF < height; row++)
      for (let column = 0; column * PIECE_OF < width; column++) rects.push([row, column]);
    const far = ([row, column]) => Math.hypot((row + 0.5) * PIECE_OF - height / 2, (column + 0.5) * PIECE_OF - width / 2);
    this.#pending = rects.length;
    for (const [row, column] of rects.sort((a, b) => far(a) - far(b))) {
      const [left, top] = [column * PIECE_OF, row * PIECE_OF], right = Math.min(left + PIECE_OF, width);
      const rect = [left, top, right, Math.min(top + PIECE_OF, height)];
      this.#pool.ask('trace', { camera, rect, stride: 1, exact: true }, this).then(({ rgba, depth }) => {
        if (round !== this.#round) return;
        const image = new ImageData(rgba, right - left, rgba.length / 4 / (right - left));
        this.#pieces.set(`${row},${column}`, { image, depth, left, top });
        this.#pending--;
        this.#draw();
      }, this.#failed);
    }
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
      const quick = this.#quick;
      if (quick) this.#context.drawImage(quick.copy, 0, 0, quick.width, quick.height);
      for (const { image, left, top } of this.#pieces.values()) this.#context.putImageData(image, left, top);
      if (this.#pieces.size && !this.#pending) this.#canvas.setAttribute('aria-busy', 'false');
    });
  }
}

/** Between the coordinates of a shape's file (z, y, x) and the world: world = matrix (coordinates - lo) + origin. */
function boxOf(head) {
  const axes = head.axes.map(axis => ({ lo: -1, hi: 1, ...axis })), a = head.space.affine;
  const matrix = [0, 4, 8].flatMap(row => axes.map(({ n, lo, hi }, k) => a[row + k] * n / (hi - lo)));
  const origin = [0, 4, 8].map(row => a[row + 3] - (a[row] + a[row + 1] + a[row + 2]) / 2);
  const minor = (i, j) => {
    const m = (r, c) => matrix[(i + r) % 3 * 3 + (j + c) % 3];
    return m(1, 1) * m(2, 2) - m(1, 2) * m(2, 1);
  };
  const determinant = [0, 1, 2].reduce((sum, j) => sum + matrix[j] * minor(0, j), 0);
  const inverse = [0, 1, 2].flatMap(i => [0, 1, 2].map(j => minor(j, i) / determinant)), lo = axes.map(axis => axis.lo), hi = axes.map(axis => axis.hi);
  const halves = hi.map((h, k) => (h - lo[k]) / 2), span = hi.map((h, k) => h - lo[k]);
  const centre = times(matrix, halves).map((c, k) => c + origin[k]);
  return { lo, hi, matrix, inverse, origin, centre, side: Math.cbrt(Math.abs(determinant) * span[0] * span[1] * span[2]) };
}
