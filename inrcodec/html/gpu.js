// In a worker, behind inr.js: pictures of a file by WebGL2. A chunk of samples goes through the network layer by layer: activations are
// float32 textures of four neurons a texel, weights are uniform blocks. What belongs to coordinates is formed in float64, per axis, by the
// processor: corner and distance in every grid level, which are those of the format, and the phases of sines in the middle of a chunk, so
// that zooming costs no precision.

const WIDE = 256, MEMORY = 2 ** 27; // samples of a chunk along an axis; bytes of activations
const PAUSE = 16, LEAST = 1024; // milliseconds of a chunk, and samples of one where so many take longer
const CHECKED = 16, ALIKE = 0.25, APART = 4; // points along an axis that are compared; codes by which they may differ: on the mean, at most
const TARGETS = 8, FEW = 4; // textures that a pass writes, and where so many float32 ones are too wide for a processor
const UNITS = ['places', 'tables', 'masks', 'a', 'b']; // of textures

class Gpu {
  #file;
  #net;
  #axes;
  #gl;
  #plan;
  #programs = new Map();
  #textures = {};
  #high;
  #speed = 0; // samples a millisecond

  /** A context that can draw, or an error. */
  static context() {
    const gl = globalThis.OffscreenCanvas && new OffscreenCanvas(1, 1).getContext('webgl2', { powerPreference: 'high-performance' });
    required(gl?.getExtension('EXT_color_buffer_float'), 'not there, or without float32 targets');
    return gl;
  }

  constructor(gl, file) {
    this.#gl = gl;
    this.#file = file;
    this.#net = described(file);
    this.#axes = file.head.axes.map(axis => ({ lo: -1, hi: 1, ...axis }));
    const limit = name => gl.getParameter(gl[name]);
    const targets = Math.min(limit('MAX_DRAW_BUFFERS'), limit('MAX_COLOR_ATTACHMENTS'), TARGETS), room = limit('MAX_UNIFORM_BLOCK_SIZE') / 16;
    this.#plan = planned(this.#net, file.head.out.channels, { most: this.#fits(targets) ? targets : Math.min(targets, FEW), room });
    this.#allocate(limit('MAX_ARRAY_TEXTURE_LAYERS'), limit('MAX_TEXTURE_SIZE'));
    this.#compile(limit('UNIFORM_BUFFER_OFFSET_ALIGNMENT'));
    required(gl.getError() === gl.NO_ERROR && !gl.isContextLost(), 'failed to start');
  }

  /** RGBA of the lattice of `lines`, coordinates per axis; `shown`: the axes down and across; `block`: how many samples make a pixel. */
  draw({ lines, shown, block: [down, across] }) {
    const gl = this.#gl, began = performance.now(), [rows, columns] = [lines[shown[0]].length / down, lines[shown[1]].length / across];
    required(down <= this.#high && across <= WIDE, 'too many samples a pixel');
    const wide = Math.min(columns, Math.floor(WIDE / across)), most = Math.max(this.#speed * PAUSE, LEAST) / (wide * across * down);
    const high = Math.max(1, Math.min(rows, Math.floor(this.#high / down), Math.floor(most))), bytes = new Uint8Array(4 * rows * columns);
    gl.pixelStorei(gl.PACK_ROW_LENGTH, columns);
    for (let y = 0; y < rows; y += high)
      for (let x = 0; x < columns; x += wide) {
        const part = [...lines], [h, w] = [Math.min(high, rows - y), Math.min(wide, columns - x)];
        part[shown[0]] = lines[shown[0]].subarray(y * down, (y + h) * down);
        part[shown[1]] = lines[shown[1]].subarray(x * across, (x + w) * across);
        this.#chunk(part, shown, [down, across], [h, w]);
        gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, bytes, 4 * (y * columns + x));
      }
    required(!gl.isContextLost() && gl.getError() === gl.NO_ERROR, 'the context is lost');
    const speed = rows * columns * down * across / Math.max(performance.now() - began, 0.1);
    this.#speed = this.#speed ? (this.#speed + speed) / 2 : speed;
    return { rgba: new Uint8ClampedArray(bytes.buffer), speed: this.#speed };
  }

  /** Throw where what is drawn is not what the file says, at points of the whole box. */
  check() {
    const { lines, shown } = this.#spread(CHECKED), d = lines.length, points = new Float64Array(CHECKED * CHECKED * d);
    for (let i = 0; i < CHECKED * CHECKED; i++)
      lines.forEach((line, a) => { points[i * d + a] = line[a === shown[0] ? Math.floor(i / CHECKED) : a === shown[1] ? i % CHECKED : 0]; });
    const right = this.#file.rgba({ data: this.#file.at(points) }), { rgba } = this.draw({ lines, shown, block: [1, 1] });
    const apart = Array.from(rgba, (code, i) => Math.abs(code - right[i]));
    required(Math.max(...apart) <= APART && apart.reduce((a, b) => a + b) <= ALIKE * apart.length, 'draws something else');
  }

  /** Samples a millisecond that are drawn, and that this thread decodes. */
  measure() {
    let took = 0;
    for (let edge = 32; edge <= WIDE && took < 8; edge *= 2) {
      const began = performance.now();
      this.draw({ ...this.#spread(edge), block: [1, 1] });
      took = performance.now() - began;
      this.#speed = edge * edge / Math.max(took, 0.1);
    }
    // Finer than nominal: neither averages nor residuals.
    const first = this.#axes.length - 2, size = this.#axes.map(({ n }, a) => a < first ? n : Math.max(2 * n, 64));
    const region = this.#axes.map(({ n }, a) => a < first ? [n >> 1, (n >> 1) + 1] : [0, 32 / size[a] * n]);
    const decoded = () => {
      const began = performance.now(), { shape } = this.#file.grid({ size, region });
      return shape.slice(0, -1).reduce((a, b) => a * b) / Math.max(performance.now() - began, 0.1);
    };
    return { speed: this.#speed, decoded: Math.max(decoded(), decoded()) };
  }

  // Points over the last two axes, in the middle of the others.
  #spread(edge) {
    const first = this.#axes.length - 2, lines = this.#axes.map(({ lo, hi }, a) =>
      Float64Array.from({ length: a < first ? 1 : edge }, (_, i) => lo + (i + 0.5) / (a < first ? 1 : edge) * (hi - lo)));
    return { lines, shown: [first, first + 1] };
  }

  #allocate(depth, size) {
    const gl = this.#gl, { layers, passes, codes } = this.#plan, all = Object.values(layers).reduce((a, b) => a + b);
    this.#high = Math.min(WIDE, Math.floor(MEMORY / (16 * WIDE * all)));
    required(this.#high >= 16 && Object.values(layers).every(n => n <= depth), 'layers too wide');
    for (const [name, n] of Object.entries(layers)) this.#activations(name, this.#high, n);
    const texture = name => {
      gl.bindTexture(gl.TEXTURE_2D, this.#textures[name] = gl.createTexture());
      this.#nearest(gl.TEXTURE_2D);
    };
    texture('places');
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RG32F, 2 * WIDE + 4, 1 + (this.#net.grid?.levels.length ?? 0));
    if (this.#net.grid) {
      Object.assign(this.#net.grid, gridTables(this.#net.grid, this.#net.d));
      const { numbers } = this.#net.grid, rows = numbers.length / ROW;
      required(rows <= size && ROW <= size, 'tables too large');
      texture('tables');
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R32F, ROW, rows);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ROW, rows, gl.RED, gl.FLOAT, numbers);
    }
    for (const pass of passes) {
      pass.target = gl.createFramebuffer();
      required(this.#complete(pass), 'no float32 targets');
    }
    codes.target = gl.createFramebuffer();
    const pixels = gl.createRenderbuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, codes.target);
    gl.bindRenderbuffer(gl.RENDERBUFFER, pixels);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, WIDE, WIDE);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, pixels);
  }

  #activations(name, high, n) {
    const gl = this.#gl, target = gl.TEXTURE_2D_ARRAY;
    gl.bindTexture(target, this.#textures[name] = gl.createTexture());
    this.#nearest(target);
    gl.texStorage3D(target, 1, gl.RGBA32F, WIDE, high, n);
  }

  #nearest(target) {
    const gl = this.#gl;
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, filter, gl.NEAREST);
  }

  // Whether a framebuffer with the textures that a pass writes can be.
  #complete({ target, to, first, count }) {
    const gl = this.#gl, places = Array.from({ length: count }, (_, i) => gl.COLOR_ATTACHMENT0 + i);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    places.forEach((place, i) => gl.framebufferTextureLayer(gl.FRAMEBUFFER, place, this.#textures[to], 0, first + i));
    gl.drawBuffers(places);
    return gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
  }

  #fits(count) {
    const gl = this.#gl, target = gl.createFramebuffer();
    this.#activations('tried', 1, count);
    const found = this.#complete({ target, to: 'tried', first: 0, count });
    gl.deleteFramebuffer(target);
    gl.deleteTexture(this.#textures.tried);
    return found;
  }

  // Programs, and a buffer with the blocks of all passes.
  #compile(alignment) {
    const gl = this.#gl, { passes, codes } = this.#plan;
    let size = 0;
    for (const pass of passes) {
      pass.program = this.#program(pass.source);
      if (!pass.block && !pass.waves) continue;
      pass.at = size;
      pass.bytes = pass.waves ? 96 * pass.count : pass.block.byteLength;
      size = Math.ceil((size + pass.bytes) / alignment) * alignment;
    }
    gl.bindBuffer(gl.UNIFORM_BUFFER, this.#textures.blocks = gl.createBuffer());
    gl.bufferData(gl.UNIFORM_BUFFER, size, gl.DYNAMIC_DRAW);
    for (const { block, at } of passes) if (block) gl.bufferSubData(gl.UNIFORM_BUFFER, at, block);
    codes.program = this.#program(CODES);
    const { facts, factors } = this.#net.grid ?? {};
    for (const { program, at } of this.#programs.values()) {
      gl.useProgram(program);
      UNITS.forEach((name, unit) => { if (at[name]) gl.uniform1i(at[name], unit); });
      if (at.facts) gl.uniform4uiv(at.facts, facts);
      if (at.factors) gl.uniform4uiv(at.factors, factors);
    }
  }

  #program(source) {
    if (this.#programs.has(source)) return this.#programs.get(source);
    const gl = this.#gl, program = gl.createProgram(), at = {};
    for (const [type, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, source]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
      required(gl.getShaderParameter(shader, gl.COMPILE_STATUS), gl.getShaderInfoLog(shader));
    }
    gl.linkProgram(program);
    required(gl.getProgramParameter(program, gl.LINK_STATUS), gl.getProgramInfoLog(program));
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const name = gl.getActiveUniform(program, i).name.replace('[0]', '');
      at[name] = gl.getUniformLocation(program, name);
    }
    this.#programs.set(source, { program, at });
    return this.#programs.get(source);
  }

  #chunk(lines, shown, block, [rows, columns]) {
    const gl = this.#gl, { passes, codes } = this.#plan, middle = lines.map(line => (line[0] + line[line.length - 1]) / 2);
    const lengths = lines.map(line => line.length), starts = [0, 1, 2, 3].map(a => lengths.slice(0, a).reduce((sum, n) => sum + n, 0));
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.#textures.places);
    const { places, high, wide } = this.#placed(lines, middle);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, wide, high, gl.RG, gl.FLOAT, places);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.#textures.tables ?? null);
    this.#bound('masks', 'masks');
    gl.viewport(0, 0, lengths[shown[1]], lengths[shown[0]]);
    for (const pass of passes) {
      this.#use(pass.program, { starts, shown, ...pass.uniforms });
      gl.bindFramebuffer(gl.FRAMEBUFFER, pass.target);
      if (pass.waves) gl.bufferSubData(gl.UNIFORM_BUFFER, pass.at, packedWaves(this.#net.waves, this.#net.d, middle, pass.first, pass.count));
      if (pass.bytes) gl.bindBufferRange(gl.UNIFORM_BUFFER, 0, this.#textures.blocks, pass.at, pass.bytes);
      this.#bound('a', pass.a);
      this.#bound('b', pass.b);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    }
    this.#use(codes.program, { block });
    gl.uniform4fv(codes.program.at.scale, codes.scale);
    gl.uniform4fv(codes.program.at.offset, codes.offset);
    gl.bindFramebuffer(gl.FRAMEBUFFER, codes.target);
    this.#bound('a', codes.a);
    gl.viewport(0, 0, columns, rows);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  #bound(unit, name) {
    const gl = this.#gl;
    gl.activeTexture(gl.TEXTURE0 + UNITS.indexOf(unit));
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.#textures[name] ?? null);
  }

  #use({ program, at }, uniforms) {
    const gl = this.#gl;
    gl.useProgram(program);
    for (const [name, values] of Object.entries(uniforms)) if (at[name]) gl[`uniform${values.length}iv`](at[name], values);
  }

  // Per level corners and distances of all coordinates, side by side, then how far these are from the middle.
  #placed(lines, middle) {
    const { grid } = this.#net, levels = grid?.levels ?? [], wide = lines.reduce((sum, line) => sum + line.length, 0);
    const places = new Float32Array(2 * wide * (levels.length + 1));
    let at = 0;
    for (const { scale } of levels) lines.forEach((line, a) => line.forEach(x => {
      const [corner, distance] = placed(x, grid.stretch[a], scale);
      places[at++] = corner;
      places[at++] = distance;
    }));
    lines.forEach((line, a) => line.forEach(x => {
      places[at] = x - middle[a];
      at += 2;
    }));
    return { places, wide, high: levels.length + 1 };
  }
}
