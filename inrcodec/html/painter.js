// Samples of a grid as pictures: by WebGL2 in a worker of its own where that is there, right and faster, else by the workers of the pool.
// The page's address may choose: a.html#gpu=0 for JavaScript alone, #gpu=1 for WebGL2 also where it is slower.

const TILE = 64, EDGES = [256, 128], PATIENCE = 40; // device pixels of a tile; milliseconds that drawing a larger one may take
const FRAME = 12, BLOCK = 16; // milliseconds of a moving picture; samples of a pixel along an axis, the most that WebGL2 averages

class Painter {
  #pool;
  #head;
  #axes;
  #wish = new URLSearchParams(location.hash.slice(1)).get('gpu');
  #gpu = null;
  #speed = 0; // samples a millisecond
  #edge = TILE;
  #lost;

  constructor(pool, head) {
    this.#pool = pool;
    this.#head = head;
    this.#axes = head.axes.map(axis => ({ lo: -1, hi: 1, ...axis }));
  }

  /** Why not by WebGL2. */
  reason = '';

  /** Whether the address asks for WebGL2. */
  get asked() {
    return this.#wish === '1';
  }

  /** Try WebGL2. `begin`: a pool of one more worker; `given`: the file; `workers`: how many the pool has; `changed`: told when something else draws. */
  async start(begin, given, workers, changed) {
    if (this.#wish === '0' || this.#head.out.valid) {
      this.reason = this.#wish === '0' ? 'not wished' : 'samples are missing';
      return;
    }
    const gpu = begin();
    this.#lost = error => {
      this.reason = error.message;
      gpu.end();
      const drew = this.#gpu;
      this.#gpu = null;
      if (drew) changed();
    };
    try {
      const [{ speed, decoded }] = await gpu.all('gpu', given);
      if (speed < decoded * workers && !this.asked)
        throw new Error(`WebGL2: ${speed.toPrecision(3)} samples a millisecond, JavaScript ${(decoded * workers).toPrecision(3)}`);
      this.#speed = speed;
      this.#edge = EDGES.find(edge => edge * edge < speed * PATIENCE) ?? TILE;
      this.#gpu = gpu;
      changed();
    } catch (error) {
      this.#lost(error);
    }
  }

  /** What draws a grid, of `size` samples along the two axes shown. */
  by({ axes, size }) {
    const exact = this.#head.out.residual && size.every((m, k) => m === this.#axes[axes[k]].n);
    return this.#gpu && !exact && this.#blocks({ axes, size }).every(k => k <= BLOCK) ? 'webgl2' : 'javascript';
  }

  /** Device pixels of the tiles of a grid. */
  edge(placed) {
    return this.by(placed) === 'webgl2' ? this.#edge : TILE;
  }

  /** Every which of so many samples makes a frame that WebGL2 draws in time; Infinity without it. */
  step(placed, samples) {
    return this.by(placed) === 'webgl2' ? Math.ceil(Math.sqrt(samples / (this.#speed * FRAME))) : Infinity;
  }

  /** {rgba} of `count` samples from `first` on, down and across. */
  picture(placed, first, count, owner) {
    const { axes, size, index } = placed, block = this.#blocks(placed);
    if (this.by(placed) === 'webgl2') {
      const lines = this.#lines(placed, first, block.map(k => 1 / k), count.map((n, k) => n * block[k]));
      return this.#drawn({ lines, shown: axes, block }, owner);
    }
    const all = this.#axes.map(({ n }) => n), region = index.map(i => [i, i + 1]);
    axes.forEach((axis, k) => {
      const { n } = this.#axes[axis];
      all[axis] = size[k];
      region[axis] = [first[k] / size[k] * n, Math.min((first[k] + count[k]) / size[k] * n, n)];
    });
    return this.#pool.ask('picture', { size: all, region }, owner);
  }

  /** {rgba, rows, columns} of points amid blocks of `step` samples. */
  sketch(placed, first, count, step, owner) {
    const { axes } = placed, [rows, columns] = count.map(n => Math.ceil(n / step)), lines = this.#lines(placed, first, [step, step], [rows, columns]);
    const sized = ({ rgba }) => ({ rgba, rows, columns });
    if (this.by(placed) === 'webgl2') return this.#drawn({ lines, shown: axes, block: [1, 1] }, owner).then(sized);
    const d = lines.length, points = new Float64Array(rows * columns * d);
    for (let i = 0; i < rows * columns; i++)
      lines.forEach((line, a) => { points[i * d + a] = line[a === axes[0] ? Math.floor(i / columns) : a === axes[1] ? i % columns : 0]; });
    return this.#pool.ask('sketch', { points }, owner).then(sized);
  }

  drop(owner) {
    this.#pool.drop(owner);
    this.#gpu?.drop(owner);
  }

  // Where WebGL2 fails nothing is answered: all is asked for again.
  #drawn(given, owner) {
    const gpu = this.#gpu;
    return new Promise(resolve => {
      gpu.ask('draw', given, owner).then(found => {
        this.#speed = found.speed;
        resolve(found);
      }, this.#lost);
    });
  }

  // How many finer samples make one, as section 8 of the format has it.
  #blocks({ axes, size }) {
    return axes.map((axis, k) => Math.ceil(this.#axes[axis].n / size[k]));
  }

  // Coordinates of every axis: of `lengths` points down and across, `steps` samples apart.
  #lines({ axes, size, index }, first, steps, lengths) {
    return this.#axes.map(({ lo, hi, n }, axis) => {
      const k = axes.indexOf(axis);
      if (k < 0) return Float64Array.of(lo + (index[axis] + 0.5) / n * (hi - lo));
      return Float64Array.from({ length: lengths[k] }, (_, i) => lo + Math.min((first[k] + (i + 0.5) * steps[k]) / size[k], 1) * (hi - lo));
    });
  }
}
