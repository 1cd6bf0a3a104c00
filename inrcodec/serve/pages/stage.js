// A canvas that shows one picture, moved and zoomed, and when it rests the part in view as fine as the screen.

import { clamp } from './common.js';
import { fitted, gestures } from './gestures.js';

const STEP = 1.5, REST = 160, FINEST = 2048, CLOSEST = 128;

export class Stage {
  #canvas;
  #context;
  #size;
  #unit;
  #told;
  #detail;
  #picture = null;
  #fine = null;
  #frame = 0;
  #timer = 0;
  #asked = null;
  #view;
  #failed;

  /**
   * size: [columns, rows]; unit: how wide and high one is beside the other; detail(region, size, signal): a finer picture of a part, or null;
   * told(scale): screen pixels a sample.
   */
  constructor(parent, { label, size, unit = [1, 1], at = null, detail, told, failed, turn = null }) {
    this.#canvas = Object.assign(document.createElement('canvas'), { tabIndex: 0 });
    this.#canvas.setAttribute('role', 'img');
    this.#canvas.setAttribute('aria-label', label);
    this.#context = this.#canvas.getContext('2d');
    this.#size = size;
    this.#unit = unit.map(each => each / Math.min(...unit));
    this.#detail = detail;
    this.#told = told;
    this.#failed = failed;
    this.#view = at; // {x, y, z}: the sample in the middle, device pixels a unit; null: all of it
    parent.append(this.#canvas);
    fitted(this.#canvas, () => this.#moved());
    gestures(this.#canvas, { drag: (x, y) => this.drag(x, y), zoom: (factor, x, y) => this.zoom(factor, x, y), turn });
  }

  get element() {
    return this.#canvas;
  }

  /** Another picture of the same place: what was fine is so no more. */
  show(picture, stale = true) {
    this.#picture = picture;
    if (stale) this.#drop();
    this.#draw();
    this.#rest();
  }

  reshape(size, unit) {
    this.#size = size;
    this.#unit = unit.map(each => each / Math.min(...unit));
    this.#view = null;
    this.#drop();
  }

  fit() {
    this.#view = null;
    this.#moved();
  }

  place() {
    return this.#view;
  }

  /** Device pixels a sample, the wider of both ways. */
  scale() {
    return this.#at().z * Math.max(...this.#unit);
  }

  drag(x, y) {
    const at = this.#at();
    this.#view = { ...at, x: at.x - x / at.z / this.#unit[0], y: at.y - y / at.z / this.#unit[1] };
    this.#moved();
  }

  zoom(factor, x = this.#canvas.width / 2, y = this.#canvas.height / 2) {
    const at = this.#at(), z = clamp(at.z * factor, this.#fitting() / 4, CLOSEST), [ux, uy] = this.#unit;
    const [dx, dy] = [x - this.#canvas.width / 2, y - this.#canvas.height / 2];
    this.#view = { x: at.x + dx / ux * (1 / at.z - 1 / z), y: at.y + dy / uy * (1 / at.z - 1 / z), z };
    this.#moved();
  }

  key(name) {
    const far = Math.min(this.#canvas.width, this.#canvas.height) / 8;
    const way = { ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] }[name];
    if (way) this.drag(...way);
    else if (name === '+' || name === '=') this.zoom(STEP);
    else if (name === '-' || name === '_') this.zoom(1 / STEP);
    else if (name === '0') this.fit();
    else return false;
    return true;
  }

  #fitting() {
    const { width, height } = this.#canvas, [columns, rows] = this.#size, [ux, uy] = this.#unit;
    return 0.94 * Math.min(width / columns / ux, height / rows / uy);
  }

  #at() {
    const [columns, rows] = this.#size;
    const at = this.#view ?? { x: columns / 2, y: rows / 2, z: this.#fitting() };
    return { x: clamp(at.x, 0, columns), y: clamp(at.y, 0, rows), z: at.z };
  }

  #moved() {
    if (!this.#canvas.width) return;
    if (this.#view) this.#view = this.#at();
    this.#told(this.scale() / devicePixelRatio);
    this.#draw();
    this.#rest();
  }

  #drop() {
    this.#fine = null;
    this.#asked?.abort();
    this.#asked = null;
  }

  #rest() {
    this.#canvas.setAttribute('aria-busy', 'true');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refine().catch(error => {
      if (error.name !== 'AbortError') this.#failed(error);
    }), REST);
  }

  /** The part in view, as many samples as it has pixels. */
  async #refine() {
    const { x, y, z } = this.#at(), [columns, rows] = this.#size, [ux, uy] = this.#unit, { width, height } = this.#canvas;
    const edges = (middle, pixels, unit, n) => [clamp(Math.floor(middle - pixels / 2 / z / unit), 0, n - 1), clamp(Math.ceil(middle + pixels / 2 / z / unit), 1, n)];
    const [left, right] = edges(x, width, ux, columns), [top, bottom] = edges(y, height, uy, rows);
    if (!this.#picture) return;
    const enough = this.#picture.width >= columns * z * ux && this.#picture.height >= rows * z * uy;
    if (!enough && right > left && bottom > top) {
      this.#asked?.abort();
      const asked = this.#asked = new AbortController();
      const size = [(right - left) * z * ux, (bottom - top) * z * uy].map(edge => Math.max(1, Math.min(FINEST, Math.ceil(edge))));
      const picture = await this.#detail([left, top, right - left, bottom - top], size, asked.signal);
      if (asked.signal.aborted) return;
      this.#fine = picture && { picture, left, top, right, bottom };
      this.#draw();
    }
    this.#canvas.setAttribute('aria-busy', 'false');
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      const { width, height } = this.#canvas, { x, y, z } = this.#at(), [ux, uy] = this.#unit, context = this.#context, [columns, rows] = this.#size;
      const put = (picture, left, top, right, bottom) => context.drawImage(
        picture, width / 2 + (left - x) * z * ux, height / 2 + (top - y) * z * uy, (right - left) * z * ux, (bottom - top) * z * uy,
      );
      context.clearRect(0, 0, width, height);
      context.imageSmoothingQuality = 'high';
      if (this.#picture) put(this.#picture, 0, 0, columns, rows);
      if (this.#fine) put(this.#fine.picture, this.#fine.left, this.#fine.top, this.#fine.right, this.#fine.bottom);
    });
  }
}
