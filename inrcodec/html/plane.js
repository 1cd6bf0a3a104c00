// Two axes of a signal as a picture: zoomed, moved, and stepped through along the others. Grids are those of `inrcodec decode --size`.

const SKETCH = 256, COARSE = 8, MOVING = 4; // device pixels of a sketched block, of a pixel of a sketch, of one of a frame that moves
const FINEST = 2 ** 22; // samples along an axis; beyond, the coordinates of grid features, which are float32, show as steps
const KEPT = 2 ** 24; // pixels of tiles

const copied = ({ rgba, rows, columns }) => {
  const copy = new OffscreenCanvas(columns, rows);
  copy.getContext('2d').putImageData(new ImageData(rgba, columns, rows), 0, 0);
  return copy;
};

class Plane {
  #canvas;
  #context;
  #painter;
  #axes;
  #ratio;
  #told;
  #shown = [];
  #at = [];
  #view = { zoom: 0, u: 0.5, v: 0.5 };
  #goal = null;
  #tiles = new Map();
  #sketches = new Map();
  #before = null;
  #whole = null;
  #moving = null;
  #asked = false;
  #pending = 0;
  #round = 0;
  #frame = 0;
  #failed;
  #fits = true;

  /** `told`: what is called with {zoom, size, slice} after every change, and failed(error). */
  constructor(canvas, painter, head, told, failed) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { colorSpace: 'srgb' });
    this.#painter = painter;
    this.#told = told;
    this.#failed = failed;
    this.#axes = head.axes.map(axis => ({ lo: -1, hi: 1, ...axis }));
    const spacing = head.kind === 'video' ? [] : head.space?.spacing ?? [];
    const known = spacing.length && spacing.every(s => s > 0), least = known ? Math.min(...spacing) : 1;
    this.#ratio = this.#axes.map((_, i) => known ? spacing[i] / least : 1);
    this.#at = this.#axes.map(({ n }) => n >> 1);
    this.show(this.#axes.map((_, i) => i).slice(-2));
  }

  get others() {
    return this.#axes.map((_, i) => i).filter(i => !this.#shown.includes(i));
  }

  get index() {
    return [...this.#at];
  }

  /** Which two axes are seen, down and across. */
  show(shown) {
    this.#shown = shown;
    this.#before = this.#whole = this.#moving = null;
    this.fit();
  }

  /** Another sample of an axis that is not shown. */
  step(axis, index) {
    this.#at[axis] = Math.min(Math.max(index, 0), this.#axes[axis].n - 1);
    this.#keep();
    this.#changed();
  }

  /** Device pixels per nominal sample at which the whole is seen. */
  get fitting() {
    const [height, width] = this.#shown.map(i => this.#axes[i].n * this.#ratio[i]);
    return Math.min(this.#canvas.width / width, this.#canvas.height / height);
  }

  fit() {
    this.#goal = null;
    this.#fits = true;
    this.#keep();
    this.#view = { zoom: this.fitting, u: 0.5, v: 0.5 };
    this.#changed();
  }

  /** Exactly `zoom` device pixels per nominal sample, about the centre. */
  scale(zoom) {
    this.#goal = null;
    this.#fits = false;
    this.#keep();
    this.#view = this.#clipped({ ...this.#view, zoom });
    this.#changed();
  }

  /** What draws changed. */
  again() {
    this.#keep();
    this.#tiles.clear();
    this.#changed();
  }

  resized() {
    if (this.#fits) this.fit();
    else this.#changed();
  }

  drag(dx, dy) {
    const [[my, mx]] = this.#placed();
    this.#fits = false;
    this.#view = this.#clipped({ ...this.#view, u: this.#view.u - dx / mx, v: this.#view.v - dy / my });
    if (this.#goal) this.#goal = { ...this.#goal, u: this.#goal.u - dx / mx, v: this.#goal.v - dy / my };
    this.#changed();
  }

  /** Towards `factor` times larger, the point under (x, y) staying where it is. */
  zoom(factor, x, y) {
    const from = this.#goal ?? this.#view, to = this.#clipped({ ...from, zoom: from.zoom * factor });
    if (!this.#goal) this.#keep();
    this.#fits = false;
    const [my, mx] = this.#sizes(from.zoom), k = 1 - from.zoom / to.zoom;
    to.u += (x - this.#canvas.width / 2) / mx * k;
    to.v += (y - this.#canvas.height / 2) / my * k;
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      this.#view = this.#clipped(to);
      this.#changed();
    } else {
      this.#goal = this.#clipped(to);
      this.#round++;
      this.#painter.drop(this);
      this.#busy(true);
      this.#draw();
    }
  }

  /** Coordinates of the point under (x, y) on all axes, and there the nominal index; null beside the picture. */
  under(x, y) {
    const [[my, mx], [oy, ox]] = this.#placed(), q = [(y + oy) / my, (x + ox) / mx];
    if (!q.every(p => p >= 0 && p < 1)) return null;
    const index = this.#at.map(i => i + 0.5);
    this.#shown.forEach((axis, k) => { index[axis] = q[k] * this.#axes[axis].n; });
    return { index, point: this.#axes.map(({ lo, hi, n }, i) => lo + index[i] / n * (hi - lo)) };
  }

  /** What is on the canvas: samples of the grid along the axes shown, and which of them its upper left pixel is. */
  get placed() {
    const [size, origin] = this.#placed();
    return { axes: this.#shown, size, origin, index: this.index };
  }

  /** What draws this grid, 'webgl2' or 'javascript', and why not the first one. */
  get engine() {
    return this.#painter.by(this.placed);
  }

  get reason() {
    return this.#painter.reason;
  }

  #clipped({ zoom, u, v }) {
    const most = Math.min(...this.#shown.map(i => FINEST / (this.#axes[i].n * this.#ratio[i])));
    const least = Math.min(this.fitting, 1) / 4;
    return { zoom: Math.max(Math.min(zoom, most), least), u: Math.min(Math.max(u, 0), 1), v: Math.min(Math.max(v, 0), 1) };
  }

  #sizes(zoom) {
    return this.#shown.map(i => Math.max(1, Math.round(this.#axes[i].n * this.#ratio[i] * zoom)));
  }

  // [samples down and across of the whole grid, the sample at the canvas's upper left pixel]
  #placed() {
    const { zoom, u, v } = this.#view, size = this.#sizes(zoom), { width, height } = this.#canvas;
    const place = (q, m, extent, fits) => Math.round(fits && m <= extent ? (m - extent) / 2 : q * m - extent / 2);
    return [size, [place(v, size[0], height, size[1] <= width), place(u, size[1], width, size[0] <= height)]];
  }

  // What is on the canvas stays as the ground of what follows, unless it shows less than the ground before.
  #keep() {
    if (this.#before && this.#sketches.size && [...this.#sketches.values()].some(sketch => !sketch)) return;
    if (!this.#view.zoom || !this.#canvas.width) return;
    this.#before = this.#copied();
  }

  #copied() {
    const copy = new OffscreenCanvas(this.#canvas.width, this.#canvas.height);
    copy.getContext('2d').drawImage(this.#canvas, 0, 0);
    return { copy, shown: this.#shown, placed: this.#placed(), index: this.index, step: 1 };
  }

  #changed() {
    if (!this.#canvas.width || !this.#view.zoom) return;
    this.#painter.drop(this);
    this.#round++;
    this.#sketches.clear();
    this.#ask();
    this.#draw();
    const [size] = this.#placed();
    this.#told({ zoom: this.#view.zoom, size, index: this.index });
  }

  #key(size, edge) {
    return [...this.#shown, ...this.#at.filter((_, i) => !this.#shown.includes(i)), ...size, edge].join();
  }

  // Blocks [row, column] of `edge` pixels of the grid that are seen, from the middle outwards.
  #seen(edge) {
    const [[my, mx], [oy, ox]] = this.#placed(), { width, height } = this.#canvas, found = [];
    const [bottom, right] = [Math.min(oy + height, my), Math.min(ox + width, mx)];
    for (let row = Math.floor(Math.max(oy, 0) / edge); row * edge < bottom; row++)
      for (let column = Math.floor(Math.max(ox, 0) / edge); column * edge < right; column++) found.push([row, column]);
    const far = ([row, column]) => Math.hypot((row + 0.5) * edge - oy - height / 2, (column + 0.5) * edge - ox - width / 2);
    return found.sort((a, b) => far(a) - far(b));
  }

  #ask() {
    const round = this.#round, { placed } = this, { size } = placed, edge = this.#painter.edge(placed), key = this.#key(size, edge);
    const missing = this.#seen(edge).filter(place => !this.#tiles.has(`${key}/${place}`));
    this.#pending = missing.length;
    this.#busy(this.#pending > 0);
    const failed = error => this.#failed(error), current = () => round === this.#round;
    if (this.engine === 'webgl2') this.#preview(2, missing.length > 1 ? COARSE : 0);
    else if (missing.length > 4) this.#outline(new Set(missing.map(place => place.map(i => Math.floor(i * edge / SKETCH)).join())), current);
    for (const place of missing) {
      const first = place.map(i => i * edge), count = first.map((from, k) => Math.min(edge, size[k] - from));
      this.#painter.picture(placed, first, count, this).then(({ rgba }) => {
        this.#tiles.set(`${key}/${place}`, new ImageData(rgba, count[1], count[0]));
        if (!current()) return;
        this.#pending--;
        this.#draw();
      }, failed);
    }
    for (const old of this.#tiles.keys()) {
      if (this.#tiles.size * edge * edge <= KEPT) break;
      this.#tiles.delete(old);
    }
  }

  // Blocks in few points, before their tiles.
  #outline(blocks, current) {
    const { placed } = this;
    for (const place of this.#seen(SKETCH).filter(place => blocks.has(place.join()))) {
      const first = place.map(i => i * SKETCH), count = first.map((from, k) => Math.min(SKETCH, placed.size[k] - from));
      this.#sketches.set(place.join(), null);
      this.#painter.sketch(placed, first, count, COARSE, this).then(found => {
        if (!current()) return;
        this.#sketches.set(place.join(), { copy: copied(found), place });
        this.#draw();
      }, error => this.#failed(error));
    }
  }

  // All that is seen at once, coarser where it takes long; one such picture at a time.
  #preview(finest, coarsest) {
    const { placed } = this, { size, origin, index } = placed, { width, height } = this.#canvas, shown = this.#shown;
    const first = origin.map(from => Math.max(from, 0)), count = first.map((from, k) => Math.min(origin[k] + [height, width][k], size[k]) - from);
    const step = this.#painter.step(placed, count[0] * count[1]);
    if (this.#asked || step < finest || step > coarsest || count.some(n => n <= 0)) return;
    const round = this.#round;
    this.#asked = true;
    this.#painter.sketch(placed, first, count, step, this.#painter).then(found => {
      this.#asked = false;
      this.#moving = { copy: copied(found), shown, placed: [size, first], index, step };
      if (round !== this.#round && this.#pending) this.#preview(finest, coarsest);
      this.#draw();
    });
  }

  #busy(busy) {
    this.#canvas.setAttribute('aria-busy', String(busy));
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.#goal) this.#approach();
      if (this.#goal) this.#preview(1, MOVING);
      this.#paint();
      if (this.#goal) this.#draw();
      else this.#busy(this.#pending > 0);
    });
  }

  #approach() {
    const { zoom, u, v } = this.#goal, from = this.#view, left = Math.log(zoom / from.zoom);
    if (Math.abs(left) < 0.01) {
      this.#view = this.#goal;
      this.#goal = null;
      this.#changed();
      return;
    }
    // The point that stays is where both views agree.
    const next = from.zoom * Math.exp(left / 3), t = (1 / from.zoom - 1 / next) / (1 / from.zoom - 1 / zoom);
    this.#view = { zoom: next, u: from.u + (u - from.u) * t, v: from.v + (v - from.v) * t };
    this.#told({ zoom: next, size: this.#sizes(next), index: this.index });
  }

  #paint() {
    const context = this.#context, { width, height } = this.#canvas, [size, [oy, ox]] = this.#placed();
    const edge = this.#painter.edge(this.placed), key = this.#key(size, edge);
    const box = [-ox, -oy, size[1], size[0]], style = this.#canvas.previousElementSibling.style;
    ['left', 'top', 'width', 'height'].forEach((edge, k) => { style[edge] = `${box[k] / devicePixelRatio}px`; });
    context.clearRect(0, 0, width, height);
    const scaled = kept => {
      if (kept?.shown.join() !== this.#shown.join()) return;
      const [[my, mx], [y, x]] = kept.placed, [sy, sx] = [size[0] / my, size[1] / mx];
      context.drawImage(kept.copy, x * sx - ox, y * sy - oy, kept.copy.width * kept.step * sx, kept.copy.height * kept.step * sy);
    };
    const here = kept => kept?.index.join() === this.#at.join(), before = this.#before, moving = here(this.#moving) ? this.#moving : null;
    const sharp = here(before) && size[1] < before.placed[0][1] * (moving ? moving.step : COARSE / 2);
    scaled(this.#whole);
    if (!sharp) scaled(before);
    context.save();
    context.beginPath();
    context.rect(...box);
    context.clip();
    scaled(moving);
    context.restore();
    for (const sketch of this.#sketches.values()) {
      if (this.#goal || !sketch) continue;
      const { copy, place: [row, column] } = sketch, [x, y] = [column * SKETCH - ox, row * SKETCH - oy];
      context.drawImage(copy, 0, 0, copy.width, copy.height, x, y, Math.min(copy.width * COARSE, size[1] - column * SKETCH),
        Math.min(copy.height * COARSE, size[0] - row * SKETCH));
    }
    if (sharp) scaled(before);
    if (this.#goal) return;
    for (const [row, column] of this.#seen(edge)) {
      const tile = this.#tiles.get(`${key}/${row},${column}`);
      if (tile) context.putImageData(tile, column * edge - ox, row * edge - oy);
    }
    if (!this.#pending && this.#view.zoom <= this.fitting) this.#whole = this.#copied();
  }
}
