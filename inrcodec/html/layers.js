// What a file's network is to gpu.js: matrices and waves, and the passes that evaluate them.

const TABLES = 2 ** 25, ROW = 2048; // numbers of all tables; in a row of their texture
const PRIME = [1, 2654435761, 805459861, 3674653429];

const texels = n => Math.ceil(n / 4);
const required = (condition, what) => {
  if (!condition) throw new Error(`WebGL2: ${what}`);
};

/** Arguments of sines are in half turns. */
function described({ head, params }) {
  const [id, d, , ...values] = head.net, data = name => params[name].data;
  const layer = (name, scale = () => 1) => {
    const bias = data(`${name}.bias`), rows = bias.length, columns = data(`${name}.weight`).length / rows;
    const weight = Float64Array.from(data(`${name}.weight`), (w, i) => w * scale(Math.floor(i / columns), i % columns));
    return { rows, columns, weight, bias: Float64Array.from(bias, (b, j) => b * scale(j, -1)) };
  };
  if (/^(siren|msa)\.1$/.test(id)) {
    // msa.1 is sin(w z) / w: the division is left to the layer that follows.
    const [h, layers, first, last] = values, msa = id === 'msa.1';
    const omega = j => Math.fround(10 ** (first + (h > 1 ? j / (h - 1) : 0) * (last - first))), after = column => msa && column >= 0 ? omega(column) : 1;
    const { weight, bias } = layer('first', row => (msa ? omega(row) : first) / Math.PI);
    return {
      d, grid: null, masks: [], waves: { frequency: weight, phase: bias, group: null }, groups: null,
      hidden: Array.from({ length: layers }, (_, i) => layer(`hidden.${i}`, (row, column) => (msa ? omega(row) : last) / Math.PI / after(column))),
      out: layer('out', (_, column) => 1 / after(column)),
    };
  }
  required(/^sasnet\.[12]$/.test(id), `no network ${id}`);
  const [n0, h, layers, omega, period, low, band, bands, groups, , features, levels, stretch] = values, frequency = data('frequency');
  const group = Int32Array.from({ length: n0 }, (_, j) => {
    const most = Math.max(...frequency.subarray(j * d, j * d + d).map(Math.abs));
    return most > low ? Math.floor((most - low - 1) * bands / (band - low)) : -1;
  });
  return {
    d, grid: { features, stretch, levels: levels.map(([scale, resolution, rows, taps], i) => ({ scale, resolution, rows, taps, table: data(`grid.${i}`) })) },
    waves: { frequency: Float64Array.from(frequency, k => 2 * k / period), phase: Float64Array.from(data('phase'), p => p / Math.PI), group },
    masks: [layer('mask.0'), layer('mask.1')], groups: { before: bands, count: groups, size: h / groups },
    hidden: Array.from({ length: layers }, (_, i) => layer(`hidden.${i}`, () => omega / Math.PI)), out: layer('out'),
  };
}

/** The rows of the output that are seen, as red, green, blue and alpha, as File.rgba picks them; and what makes numbers of them. */
function coloured(out, channels) {
  const alpha = channels.findIndex(({ role }) => role === 'alpha'), others = [...channels.keys()].filter(k => k !== alpha);
  const picked = [...others.length < 3 ? [0, 0, 0].map(() => others[0] ?? 0) : others.slice(0, 3), alpha], { columns } = out;
  const weight = new Float64Array(4 * columns);
  picked.forEach((k, j) => { if (k >= 0) weight.set(out.weight.subarray(k * columns, (k + 1) * columns), j * columns); });
  const seen = (f, beside) => picked.map(k => k < 0 ? beside : f(k));
  return {
    layer: { rows: 4, columns, weight, bias: seen(k => out.bias[k], 0) },
    scale: seen(k => channels[k].scale, 0), offset: seen(k => channels[k].offset, 1),
  };
}

/** Rows 4 * first and on of a layer as `linearSource` reads them; `own` columns come from one texture, the others from a second one. */
function packed({ rows, columns, weight, bias }, own, first, count) {
  const parts = texels(own), block = new Float32Array(4 * count * (1 + 4 * (parts + texels(columns - own))));
  for (let r = 0; r < Math.min(4 * count, rows - 4 * first); r++) {
    const row = 4 * first + r;
    block[r] = bias[row];
    for (let i = 0; i < columns; i++) {
      const entering = i < own ? i : 4 * parts + i - own, texel = entering >> 2;
      block[4 * (count + (texel * count + (r >> 2)) * 4 + (entering & 3)) + (r & 3)] = weight[row * columns + i];
    }
  }
  return block;
}

/** The waves of texel `first` and on, as `wavesSource` reads them, with their phases at a point. */
function packedWaves({ frequency, phase, group }, d, point, first, count) {
  const block = new Float32Array(24 * count);
  for (let r = 0; r < Math.min(4 * count, phase.length - 4 * first); r++) {
    const j = 4 * first + r, at = 24 * (r >> 2), k = frequency.subarray(j * d, (j + 1) * d);
    const turned = k.reduce((sum, frequency, a) => sum + frequency * point[a], phase[j]);
    block.set(k, at + 4 * (r & 3));
    block[at + 16 + (r & 3)] = turned - 2 * Math.round(turned / 2);
    block[at + 20 + (r & 3)] = group ? group[j] : -1;
  }
  return block;
}

/** Per level rows, taps, whether dense and where its table begins, and the factors of an axis; and all tables as the rows of a texture. */
function gridTables({ levels, features }, d) {
  const facts = [], factors = [];
  let total = 0;
  for (const { resolution, rows, taps } of levels) {
    const dense = rows >= resolution ** d;
    facts.push(rows, taps, Number(dense), total);
    for (let a = 0; a < 4; a++) {
      let factor = PRIME[d - 1 - a] ?? 0;
      if (dense) {
        factor = 1;
        for (let k = a; k < d - 1; k++) factor = Math.imul(factor, resolution);
      }
      factors.push(factor >>> 0);
    }
    total += rows * features;
  }
  required(total <= TABLES, 'tables too large');
  const numbers = new Float32Array(Math.ceil(total / ROW) * ROW);
  levels.forEach(({ table }, i) => numbers.set(table, facts[4 * i + 3]));
  return { facts: Uint32Array.from(facts), factors: Uint32Array.from(factors), numbers };
}

/** Corner and distance of a coordinate in a level, as section 9 of the format forms them. */
function placed(x, stretch, scale) {
  const position = Math.fround(scale * Math.fround((stretch * x + 1) * 0.5) + 0.5), corner = Math.floor(position);
  return [corner, position - corner];
}

/** {passes, layers, codes}: a pass writes `count` texels of the array `to`, from `first` on; `layers`: how many each array needs.
 * `most`: texels that a pass writes; `room`: texels of a uniform block. */
function planned(net, channels, { most, room }) {
  const { d, grid, waves, masks, groups, hidden, out } = net, passes = [], layers = {}, line = grid ? grid.levels.length : 0;
  const add = (to, rows, size, made) => {
    const fit = Math.min(most, Math.floor(room / size)), total = texels(rows);
    required(fit > 0, 'layers too wide');
    const count = Math.ceil(total / Math.ceil(total / fit));
    for (let first = 0; first < total; first += count) passes.push({ to, first, count, ...made(first, count) });
    layers[to] = Math.max(layers[to] ?? 0, Math.ceil(total / count) * count);
  };
  const linear = (layer, from, own, to, kind, before = 0) => {
    const entering = [texels(own), texels(layer.columns - own)], columns = entering[0] + entering[1];
    add(to, layer.rows, 1 + 4 * columns, (first, count) => ({
      source: linearSource({ rows: count, columns, kind }), a: from, b: grid ? 'features' : from, block: packed(layer, own, first, count),
      uniforms: { span: entering, first: [4 * first], groups: [before, groups?.size ?? 1] },
    }));
  };
  if (grid) {
    const { features, levels } = grid, wide = features * levels.length, source = featuresSource({ d, levels: levels.length, features, wide: ROW });
    for (let first = 0; first < texels(wide); first++) passes.push({ to: 'features', first, count: 1, source, uniforms: { first: [4 * first] } });
    layers.features = texels(wide);
    linear(masks[0], 'features', wide, 'even', 'relu');
    linear(masks[1], 'even', masks[0].rows, 'masks', 'sigmoid');
  }
  add('odd', waves.phase.length, 6, (first, count) => ({ source: wavesSource({ d, line, rows: count, grouped: Boolean(waves.group) }), waves: true, uniforms: {} }));
  let [from, to, own] = ['odd', 'even', waves.phase.length];
  hidden.forEach((layer, i) => {
    linear(layer, from, own, to, groups ? 'masked' : 'sine', groups ? groups.before + i * groups.count : 0);
    [from, to, own] = [to, from, layer.rows];
  });
  const { layer, scale, offset } = coloured(out, channels);
  linear(layer, from, own, to, 'none');
  return { passes, layers, codes: { a: to, scale, offset } };
}
