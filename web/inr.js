// Parses and decodes .inr files of level 1, in browsers and Node; formats/inr-1.0.md says what they hold, and its sections are named here.
//
//   import { parse } from './inr.js';
//   const f = parse(bytes);                      // InrError.code: 4 corrupt, 5 unsupported, 6 a limit exceeded, 2 wrong arguments
//   f.head, f.params                             // the map of section 2; {name: {shape, data: Float32Array}}
//   f.at(Float64Array.of(0, 0.5))                // Float32Array, numbers at coordinates; of a shape its distances
//   f.grid({size: [48, 64], region: [[0, 9], [0, 9]], samples: false}) // {data, shape}
//   for (const tile of f.tiles({size})) {}       // {origin, shape, data: Float64Array}, to draw progressively
//   f.imageData({size, region})                  // {data: Uint8ClampedArray, width, height}

export class InrError extends Error {
  constructor(message, code) {
    super(message);
    this.name = 'InrError';
    this.code = code;
  }
}

const USAGE = 2, CORRUPT = 4, UNSUPPORTED = 5, LIMIT = 6;
export const LIMITS = {
  chunks: 1024, ancillary: 2 ** 24, elements: 2 ** 25, numbers: 2 ** 26,
  parameters: [2 ** 25, 2 ** 12], coding: [2 ** 20, 2 ** 10], // of any file, and more for each byte of DATA
};
const PIECE = 512, COLUMNS = 64; // samples for which the layers stay in the cache
const { abs, ceil, floor, fround, imul, max, min, sqrt } = Math;

const need = (condition, message, code = CORRUPT) => {
  if (!condition) throw new InrError(message, code);
};
const product = list => list.reduce((a, b) => a * b, 1);
const clip = (v, low, high) => v < low ? low : v > high ? high : v; // NaN stays
const four = n => ceil(n / 4) * 4;
const viewOf = bytes => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const strides = sizes => sizes.map((_, i) => product(sizes.slice(i + 1)));

// Section 1: container and canonical msgpack.

const CRC = Uint32Array.from({ length: 256 }, (_, i) => {
  for (let k = 0; k < 8; k++) i = i & 1 ? i >>> 1 ^ 0xedb88320 : i >>> 1;
  return i;
});

function crc32(bytes) {
  let c = -1;
  for (let i = 0; i < bytes.length; i++) c = CRC[(c ^ bytes[i]) & 255] ^ c >>> 8;
  return ~c >>> 0;
}

function readChunks(data, limits) {
  const start = String.fromCharCode(...data.subarray(0, 9)), view = viewOf(data), chunks = [];
  need(start.startsWith('\x89INR\r\n\x1a\n'), start === '#INRIMAGE' ? 'an Inrimage volume' : 'not an .inr file');
  for (let at = 8; at < data.length;) {
    need(at + 12 <= data.length, 'the file ends within a chunk');
    const end = at + 8 + view.getUint32(at, true), name = String.fromCharCode(...data.subarray(at + 4, at + 8)), critical = name[0] < 'a';
    need(end + 4 <= data.length, 'the file ends within a chunk');
    need(/^[A-Za-z]{2}[A-Z][A-Za-z]$/.test(name), 'a wrong chunk name');
    need(crc32(data.subarray(at + 4, end)) === view.getUint32(end, true), `wrong CRC of ${name}`);
    need(!critical || /HEAD|DATA|DONE/.test(name), `unknown critical chunk ${name}`, UNSUPPORTED);
    need(chunks.length < limits.chunks && (critical || end - at - 8 <= limits.ancillary), 'chunks too many or too long', LIMIT);
    chunks.push([name, data.subarray(at + 8, end)]);
    at = end + 4;
  }
  const order = chunks.map(([name]) => ({ HEAD: 'H', DATA: 'D', DONE: 'E' })[name] || 'a').join('');
  need(/^Ha*D+a*E$/.test(order) && !chunks[chunks.length - 1][1].length, 'chunks out of order');
  return chunks;
}

const FORMS = {};
for (const form of ('c4:Uint8:1:0 c5:Uint16:2:256 c6:Uint32:4:65536 ca:Float32:4 cb:Float64:8 cc:Uint8:1:128 cd:Uint16:2:256 ce:Uint32:4:65536 ' +
  'cf:BigUint64:8:4294967296 d0:Int8:1:33 d1:Int16:2:129 d2:Int32:4:32769 d3:BigInt64:8:2147483649 d9:Uint8:1:32 da:Uint16:2:256 ' +
  'db:Uint32:4:65536 dc:Uint16:2:16 dd:Uint32:4:65536 de:Uint16:2:16 df:Uint32:4:65536').split(' ')) {
  const [tag, type, size, least] = form.split(':');
  FORMS[parseInt(tag, 16)] = ['get' + type, +size, least];
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function before(a, b) {
  const x = new TextEncoder().encode(a), y = new TextEncoder().encode(b);
  let i = 0;
  while (i < x.length && x[i] === y[i]) i++;
  return i < y.length && (i === x.length || x[i] < y[i]);
}

const ascending = list => Array.isArray(list) && list.every((s, i) => typeof s === 'string' && (!i || before(list[i - 1], s)));

// Floats come as objects of class Number, since the text's types are strict.
function unpack(data) {
  const view = viewOf(data);
  let at = 2;
  const text = bytes => {
    let found;
    try {
      found = utf8.decode(bytes);
    } catch {
      found = null;
    }
    need(found !== null && found.normalize('NFC') === found, 'not UTF-8 in NFC');
    return found;
  };
  const value = depth => {
    need(at < data.length, 'the map ends early');
    const tag = data[at++];
    if (tag < 0x80 || tag >= 0xe0) return tag < 0x80 ? tag : tag - 256;
    if (tag === 0xc0) return null;
    if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
    let n = tag & (tag < 0xa0 ? 15 : 31);
    if (tag >= 0xc0) {
      need(FORMS[tag] && at + FORMS[tag][1] <= data.length, 'a wrong type, or the map ends early');
      const [get, size, least] = FORMS[tag];
      n = Number(view[get](at));
      at += size;
      if (!least) {
        need(Number.isFinite(n) && (size === 4 || fround(n) !== n), 'not a finite, shortest float');
        return new Number(n);
      }
      need(abs(n) >= least && n < 0 === /tI|gI/.test(get), 'not the shortest form');
      if (tag >= 0xcc && tag <= 0xd3) return n;
    }
    if (tag >= 0xa0 && tag <= 0xdb) {
      need(n <= 65536 && at + n <= data.length, 'a string too long');
      const bytes = data.slice(at, at += n);
      return tag >= 0xc4 && tag <= 0xc6 ? bytes : text(bytes);
    }
    need(depth <= 16 && n <= 4096, 'too deep, or too many entries');
    if (tag >= 0x90 && tag < 0xde) {
      const list = [];
      while (list.length < n) list.push(value(depth + 1));
      return list;
    }
    const map = Object.create(null), keys = [];
    while (keys.length < n) {
      keys.push(value(depth + 1));
      need(typeof keys[keys.length - 1] === 'string', 'a key that is no string');
      map[keys[keys.length - 1]] = value(depth + 1);
    }
    need(ascending(keys), 'keys out of order');
    return map;
  };
  const found = value(1);
  need(at === data.length, 'bytes behind the map');
  return found;
}

// Section 2: key, type, least and largest value. A type with * is a list of such, and the bounds are those of its length; ? is optional.

const MOST = ':5e-324:Infinity';
const HEAD = 'kind:str level:int req:str* axes:dict*:1:4 out:dict net:list tens:list* color?:dict space?:dict windows?:dict opt?:dict';
const AXIS = 'name:str n:int:1:2147483648 lo?:float hi?:float';
const OUT = 'channels:dict*:1:4096 bits:int:1:16 dtype?:str valid?:bool:1:1 residual?:dict';
const RESIDUAL = `bound:float:0:Infinity step:float${MOST} tolerance:float${MOST}`;
const CHANNEL = 'name:str role:str scale:float offset:float low?:float high?:float';
const SINES = 'in_features:int:1:4 out_features:int:1:4096 hidden_features:int:1:8192 hidden_layers:int:0:64 ';
const SASNET = 'in_features:int:1:4 out_features:int:1:4096 frequencies:int:1:8192 hidden_features:int:1:8192 hidden_layers:int:1:64 ' +
  `omega_0:float${MOST} period:float${MOST} low:int:1:254 band:int:2:255 bands:int:1:254 groups:int:1:8192 mask_features:int:1:8192 ` +
  'grid_features:int:1:64 levels:list*:1:64 stretch:float*';
const LEVEL = 'scale:float:1e-45:3.4028235e38 resolution:int:1:1048576 entries:int:1:268435456 taps:int:2:4';
const NETWORKS = {
  'siren.1': `${SINES}first_omega_0:float${MOST} omega_0:float${MOST}`,
  'msa.1': `${SINES}s_min:float:-6:6 s_max:float:-6:6`,
  'sasnet.1': SASNET,
  'sasnet.2': SASNET,
};
const TYPES = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array,
  float16: Float32Array, float32: Float32Array, float64: Float64Array,
};

const typeOf = v => v === null ? 'nil' : Array.isArray(v) ? 'list' : v instanceof Uint8Array ? 'bytes' : v instanceof Number ? 'float' :
  ({ number: 'int', string: 'str', boolean: 'bool' })[typeof v] || 'dict';

const plain = v => ({ list: () => v.map(plain), float: () => +v, dict: () => Object.fromEntries(Object.entries(v).map(([k, e]) => [k, plain(e)])) })[
  typeOf(v)]?.() ?? v;

function check(fields, value) {
  const table = fields.split(' ').map(field => field.split(':'));
  if (Array.isArray(value) && value.length === table.length) value = Object.fromEntries(table.map(([key], i) => [key, value[i]]));
  need(typeOf(value) === 'dict', 'not a map, or a wrong length');
  const names = table.map(([key]) => key.replace('?', '')), found = {};
  need(Object.keys(value).every(key => names.includes(key)), 'unknown keys');
  table.forEach(([key, type, least, most], i) => {
    const name = names[i], item = value[name], kind = type.replace('*', ''), many = kind !== type;
    if (item === undefined) return need(name !== key, `no key ${key}`);
    need(many ? Array.isArray(item) && item.every(e => typeOf(e) === kind) : typeOf(item) === kind, `${name} is of the wrong type`);
    found[name] = kind !== 'float' ? item : many ? item.map(Number) : +item;
    const size = many ? item.length : found[name];
    need(!least || size >= +least && size <= +most, `${name} is out of range`);
  });
  return found;
}

// Section 2: the checked map, with the defaults of axes and channels filled in beside it.
function readHead(payload, icc) {
  need(payload.length > 2, 'HEAD is empty');
  need(!payload[0], `unknown major version ${payload[0]}`, UNSUPPORTED);
  need(payload.length <= 2 ** 20, 'HEAD is too long', LIMIT);
  const raw = unpack(payload);
  need(typeOf(raw) === 'dict' && ascending(raw.req), 'not a map with req');
  need(raw.req.every(name => name === 'residual'), `unknown features ${raw.req}`, UNSUPPORTED);
  const head = check(HEAD, raw), out = check(OUT, head.out), d = head.axes.length;
  need(['image', 'volume', 'shape', 'audio', 'video', 'field'].includes(head.kind) && head.level === 1, 'unknown kind or level', UNSUPPORTED);
  const axes = head.axes.map(axis => ({ lo: -1, hi: 1, ...check(AXIS, axis) }));
  need(axes.every(axis => axis.lo < axis.hi), 'an axis without extent');
  const floating = /^float/.test(out.dtype);
  need(out.dtype === undefined || Object.hasOwn(TYPES, out.dtype), 'unknown dtype');
  need(!out.valid || floating, 'valid without a floating dtype');
  need('residual' in out === head.req.length > 0 && !(out.residual && head.kind === 'shape'), 'a residual out of place');
  const residual = out.residual && check(RESIDUAL, out.residual);
  const [, sign, bits] = /^(u?)int(\d+)$/.exec(out.dtype) || [0, '', 0];
  const [least, most] = !bits ? [-Infinity, Infinity] : sign ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const channels = out.channels.map(raw => {
    const channel = check(CHANNEL, raw), { low = 0, high = 1 } = channel;
    need(['color', 'alpha', 'value', 'sdf'].includes(channel.role) && least <= low && low < high && high <= most, 'a wrong role, low or high');
    need(out.dtype || !('low' in channel || 'high' in channel), 'low or high without dtype');
    return { ...channel, low, high };
  });
  const space = head.space ? check('spacing:float* affine?:float* units?:str', head.space) : { spacing: axes };
  const affine = space.affine || [];
  need(space.spacing.length === d && (!space.affine || [4, 9, 16, 25].slice(0, d).includes(affine.length)), 'wrong spacing or affine');
  need(!(head.color && check('icc?:bool source?:str', head.color).icc) || icc, 'no iCCP chunk');
  const windows = head.windows && check('hop:int* overlap:int*', head.windows);
  if (windows) {
    need(d === 1 && windows.hop.length === 1 && windows.overlap.length === 1, 'windows of many axes');
    const [hop] = windows.hop, [overlap] = windows.overlap;
    need(hop >= 1 && hop < axes[0].n && overlap >= 2 && overlap <= hop && overlap % 2 === 0, 'wrong hop or overlap');
  }
  if (head.kind === 'shape') {
    need(d === 3 && out.dtype && channels.length === 1 && channels[0].role === 'sdf' && affine.length === 16, 'not the HEAD of a shape');
    const [a, b, c, , e, f, g, , h, i, j] = affine;
    need(a * (f * j - g * i) + b * (g * h - e * j) + c * (e * i - f * h) !== 0, 'a singular affine');
  }
  return { raw, axes, channels, residual, windows, floating, dtype: out.dtype, bits: out.bits, valid: out.valid, net: head.net, tens: head.tens };
}

// Section 9: the configuration, `tensors`, a list of [name, shape, axis], and the number of `dense` levels of section 10.
function readNet({ net: [id, ...values], axes, channels, windows }) {
  need(typeof id === 'string', 'net without an id');
  need(Object.hasOwn(NETWORKS, id), 'unknown network', UNSUPPORTED);
  const net = { ...check(NETWORKS[id], values), id, dense: 0 };
  const { in_features: d, out_features: c, hidden_features: h, hidden_layers: layers, groups, grid_features: f } = net;
  need(d === axes.length && c === channels.length, 'not the axes and channels of the network');
  need(!(net.s_min > net.s_max), 's_min above s_max');
  const tensors = [], linear = (name, rows, columns, axis = 0) =>
    tensors.push([`${name}.weight`, [rows, columns], axis], [`${name}.bias`, [rows], -1]);
  let wide = 0;
  net.more = 0;
  if (net.levels) {
    net.levels = net.levels.map(level => check(LEVEL, level));
    need(net.levels.every(level => fround(level.scale) === level.scale && level.taps !== 3), "a level's scale or taps");
    need(net.stretch.length === d && net.stretch.every(s => s > 0 && s <= 1) && h % groups === 0, 'stretch or groups');
    need(net.low < net.band && net.bands <= net.band - net.low, 'low, band or bands');
    tensors.push(['frequency', [net.frequencies, d], -1], ['phase', [net.frequencies], -1]);
    net.levels.forEach((level, i) => tensors.push([`grid.${i}`, [level.entries, f], 1]));
    const other = net.levels.findIndex(level => level.resolution < 2 || level.resolution ** d !== level.entries);
    if (d === 2 || d === 3) net.dense = other < 0 ? net.levels.length : other;
    wide = f * net.levels.length;
    net.more = id === 'sasnet.2' ? wide : 0;
    linear('mask.0', net.mask_features, wide, 1);
    linear('mask.1', net.bands + groups * layers, net.mask_features);
  } else linear('first', h, d);
  for (let i = 0; i < layers; i++) linear(`hidden.${i}`, h, i || !net.levels ? h : net.frequencies + net.more);
  linear('out', c, h + net.more);
  const k = windows && ceil(axes[0].n / windows.hop[0]);
  net.tensors = !k ? tensors : tensors.map(([name, shape, axis]) => name === 'frequency' ? [name, shape, axis] :
    [name, [k, ...shape], product(shape) >= 16 ? 0 : -1]);
  return net;
}

// Sections 3 and 4: tensor payloads and quantization.

const STEPS = [8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775];
const step = code => STEPS[code & 7] * 2 ** ((code >> 3) - 23);

// Section 1, rule 6: symbols, and 32 for each wavefront.
const planeWork = sizes => product(sizes) + 32 + 32 * sizes.reduce((t, n) => 2 * t + n - 1, 0);

function codingWork({ tens, axes, channels, residual }, net) {
  const works = net.tensors.map(([, shape, axis], i) => {
    const [codec] = tens[i], level = i - 2;
    if (codec === 8) return level >= 0 && level < net.dense ? net.grid_features * planeWork(gridSizes(net, level)) : 0;
    return codec === 3 ? product(shape) : codec === 6 ? product(shape) + (axis < 0 ? 1 : shape[axis]) : 0;
  });
  if (residual && tens.some(([codec, length]) => codec === 10 && length)) {
    const [[first, ...others], rows] = planeAxes(axes.map(axis => axis.n)), last = first % rows;
    works.push(channels.length * (floor(first / rows) * planeWork([rows, ...others]) + (last && planeWork([last, ...others]))));
  }
  return works.reduce((a, b) => a + b);
}

function readTensors(head, net, data, options) {
  const { tens, axes, channels, valid, residual } = head, own = net.tensors.length;
  need(tens.every(e => e.length === 2 && typeOf(e[0]) === 'int' && typeOf(e[1]) === 'int' && e[1] >= 0), 'a wrong entry of tens');
  const codecs = tens.map(([codec]) => codec), used = codecs.slice(0, own), contexts = used.includes(8);
  need(codecs.every(codec => [0, 1, 3, 4, 6, 7, 8, 9, 10].includes(codec)), 'an unknown codec', UNSUPPORTED);
  need(used.length === own && !used.some(codec => [7, 9, 10].includes(codec)), 'not the tensors of the network');
  const extra = [...(contexts ? [9] : []), ...(residual ? [10] : []), ...(valid ? [7] : [])];
  need(codecs.slice(own).join() === extra.join(), 'not the tensors behind the network');
  const grid = axes.map(axis => axis.n), samples = product(grid);
  const parameters = net.tensors.reduce((sum, [, shape]) => sum + product(shape), 0), stored = tens.reduce((sum, [, length]) => sum + length, 0);
  const elements = parameters + samples * ((valid ? 1 : 0) + (residual ? channels.length : 0)), { limits } = options;
  need(elements <= limits.elements, 'too many elements', LIMIT);
  const within = (needed, [most, more]) => need(needed <= most + more * stored, 'too much for so few bytes', LIMIT);
  within(parameters, limits.parameters);
  within(codingWork(head, net), limits.coding);
  let end = 0;
  const parts = tens.map(([, length]) => data.subarray(end, end += length));
  need(end === data.length, 'not the length of DATA');
  need(net.dense || !contexts, 'contexts without dense levels');
  const context = contexts && readContextNet(parts[own], net.in_features, net.grid_features * net.levels.length);
  const params = {}, planes = [];
  net.tensors.forEach(([name, shape, axis], i) => {
    const codec = codecs[i], part = parts[i], n = product(shape), level = i - 2, dense = contexts && level >= 0 && level < net.dense;
    need((codec === 4) === (name === 'frequency') && (dense ? codec !== 0 : codec !== 8), `${name} must not have codec ${codec}`);
    let values;
    if (codec === 4) values = lattice(part, ...shape, net.band);
    else if (codec === 0) values = floats(part, n);
    else {
      const g = axis < 0 ? 1 : shape[axis], inner = axis < 0 ? n : product(shape.slice(axis + 1));
      const [steps, symbols] = codec === 8 ? contextSymbols(part, context, net, level, planes) : plainSymbols(codec, part, n, g, inner);
      if (dense) planes[level] = codec === 8 ? symbols : padded(symbols, net, level);
      values = dequantize(codec === 8 ? unpadded(symbols, net, level) : symbols, steps, inner);
    }
    params[name] = { shape, data: values };
  });
  const added = residual && readResidual(parts[own + (contexts ? 1 : 0)], grid, channels.length);
  return { params, added, valid: valid && readMask(parts[parts.length - 1], grid, options) };
}

function dequantize(symbols, steps, inner) {
  const sizes = Float64Array.from(steps, step), values = new Float32Array(symbols.length);
  for (let i = 0, group = 0; i < values.length; group = (group + 1) % sizes.length)
    for (const end = i + inner; i < end; i++) values[i] = fround(symbols[i]) * sizes[group];
  return values;
}

function floats(raw, n) {
  need(raw.length === 4 * n, 'too few or too many values');
  const view = viewOf(raw), values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = view.getFloat32(4 * i, true);
  need(values.every(Number.isFinite), 'a value that is not finite');
  return values;
}

function plainSymbols(codec, part, n, g, inner) {
  need(part.length > (codec === 6 ? 5 : codec === 3 ? 3 * g : g), 'a payload ends early');
  const signed = new Int8Array(part.buffer, part.byteOffset, part.length);
  if (codec === 6) {
    const stream = new Stream(part.subarray(5)), first = model(part[1], part[2]), second = model(part[3], part[4]);
    const steps = Int32Array.from({ length: g }, () => stream.next(first) + signed[0]), symbols = new Int32Array(n);
    need(steps.every(code => code >= -128 && code <= 127), 'a step code beyond 8 bits');
    for (let i = 0; i < n; i++) symbols[i] = stream.next(second);
    stream.close();
    return [steps, symbols];
  }
  const steps = signed.subarray(0, g), symbols = new Int32Array(codec === 3 ? n : 0);
  if (codec === 3) {
    const stream = new Stream(part.subarray(3 * g));
    for (let i = 0, group = 0; i < n; group = (group + 1) % g) {
      const own = model(part[g + 2 * group], part[g + 2 * group + 1]);
      for (const end = i + inner; i < end; i++) symbols[i] = stream.next(own);
    }
    stream.close();
    return [steps, symbols];
  }
  const width = part[g], rest = part.subarray(g + 1);
  need([1, 2, 4].includes(width), 'a width other than 1, 2 and 4 bytes');
  need(rest.length === n * width, 'too few or too many symbols');
  const view = viewOf(rest), get = `getInt${8 * width}`;
  return [steps, Int32Array.from({ length: n }, (_, i) => view[get](i * width, true))];
}

// The header and the blocks of a frame are walked before anything is decompressed.
function unzstd(frame, size, { zstd }) {
  const [a, b, c, e, flags, window] = frame, single = flags >> 5 & 1, width = [single, 2, 4, 8][flags >> 6];
  need(frame.length >= 6 && (a | b << 8 | c << 16 | e << 24) === -47205080 && !(flags & 11), 'not a zstd frame, or one with a dictionary');
  need((single ? size : (8 + (window & 7)) * 2 ** (7 + (window >> 3))) <= 2 ** 27, 'too large a window');
  let at = 6 - single + width, stated = width === 2 ? 256 : 0, block = 0;
  for (let k = 0; k < width; k++) stated += frame[6 - single + k] * 256 ** k;
  need(width && stated === size, 'a frame that does not state the size');
  while (!(block & 1)) {
    need(at + 3 <= frame.length, 'a damaged zstd frame');
    block = frame[at] | frame[at + 1] << 8 | frame[at + 2] << 16;
    at += 3 + ((block & 6) === 2 ? 1 : block >> 3);
    need(at <= frame.length && (block & 6) !== 6, 'a damaged zstd frame');
  }
  need(at + (flags & 4) === frame.length, 'not one whole zstd frame');
  need(zstd, 'unsupported here: missing samples; give parse a function zstd(frame, size)', UNSUPPORTED);
  let content;
  try {
    content = zstd(frame, size);
  } catch (error) {
    need(false, `zstd: ${error.message}`);
  }
  need(content.length === size, 'a zstd frame of another size than it states');
  return content;
}

function readMask(part, grid, options) {
  const n = product(grid), slice = n / grid[0], bits = unzstd(part, ceil(n / 8), options), there = new Uint8Array(n);
  need(n % 8 === 0 || !(bits[n >> 3] & 255 >> n % 8), 'padding that is not zero');
  for (let i = 0; i < n; i++) there[i] = bits[i >> 3] >> 7 - i % 8 & 1 ^ (i < slice ? 0 : there[i - slice]);
  return there;
}

// Sections 5 and 6: symbol models and streams.

function makeModel(freq) {
  const start = new Uint16Array(freq.length + 1), first = new Uint16Array(256);
  freq.forEach((f, a) => { start[a + 1] = start[a] + f; });
  for (let i = 0, a = 0; i < 256; first[i++] = a) while (start[a + 1] <= 64 * i) a++;
  return { freq: Uint16Array.from(freq), start, first, escape: freq.length - 1 };
}

const models = new Map();

function cached(key, make) {
  if (models.size > 999) models.clear();
  if (!models.has(key)) models.set(key, makeModel(make()));
  return models.get(key);
}

function model(z, t) {
  need(z < 64 && t < 64, "a model's code beyond 63");
  return cached(z * 64 + t, () => {
    let n = 64880, decay = 65000;
    for (let i = 0; i < z; i++) n = n * 57052 / 65536 >>> 0;
    for (let i = 0; i < t; i++) decay = decay * 58386 / 65536 >>> 0;
    const freq = [clip(16384 - (n >> 2), 1, 16381)];
    let rest = 16384 - freq[0];
    for (let f; freq.length <= 8192 && 2 * (f = max(1, rest * decay >> 17)) + 1 <= rest; rest -= 2 * f) freq.push(f, f);
    return [...freq, rest];
  });
}

function leb128(data, at) {
  let value = 0, k = 0;
  while (k < 5 && data[at + k] >= 128) value += (data[at + k] & 127) * 128 ** k++;
  need(k < 5 && at + k < data.length && (data[at + k] || !k), 'a wrong leb128 number');
  return [value + data[at + k] * 128 ** k, at + k + 1];
}

class Stream {
  constructor(data) {
    need(data.length >= 2 && data[0] <= 10, 'a stream of wrong lanes');
    const lanes = 1 << data[0], [words, at] = leb128(data, 1), view = viewOf(data);
    this.word = at + 4 * lanes;
    this.words = this.end = this.word + 2 * words;
    need(this.end <= data.length, 'a stream shorter than its words');
    this.states = Uint32Array.from({ length: lanes }, (_, i) => view.getUint32(at + 4 * i, true));
    need(this.states.every(x => x >= 65536), 'a state below 2^16');
    this.data = data;
    this.lane = 0;
  }

  next({ freq, start, first, escape }) {
    const x = this.states[this.lane], slot = x & 16383;
    let a = first[slot >> 6];
    while (start[a + 1] <= slot) a++;
    let y = freq[a] * (x >>> 14) + slot - start[a];
    if (y < 65536) {
      need(this.word < this.words, 'a stream with too few words');
      y = y * 65536 + (this.data[this.word] | this.data[this.word + 1] << 8);
      this.word += 2;
    }
    this.states[this.lane] = y;
    this.lane = this.lane + 1 & this.states.length - 1;
    let size = a + 1 >> 1;
    if (a !== escape) return a & 1 ? size : 0 - size; // no negative zero
    const [v, end] = leb128(this.data, this.end);
    this.end = end;
    size += floor(v / 2);
    need(size <= 2 ** 30, 'a symbol beyond 2^30');
    return v % 2 ? -size : size;
  }

  close() {
    need(this.word === this.words && this.states.every(x => x === 65536) && this.end === this.data.length, 'a stream that ends wrongly');
  }
}

// Section 7: vectors are found from their numbers by counting those before them in their shell max|k| = r.
function lattice(part, n, d, band) {
  const [bound, low] = part, bits = 8 * (part.length - 2), bit = i => part[2 + (i >> 3)] >> 7 - i % 8 & 1;
  need(part.length >= 2 && bound && low <= 24 && (2 * bound + 1) ** d <= 2 ** 24, 'a bound or code beyond its limit');
  const shell = (m, r) => (2 * r + 1) ** m - (2 * r - 1) ** m, values = new Float32Array(n * d);
  let at = 0, number = -1, r = 1, begin = 0;
  for (let i = 0; i < n; i++) {
    let ones = 0, rest = 0;
    while (at < bits && bit(at)) ones++, at++;
    need(++at + low <= bits, 'the bits end early');
    for (let k = 0; k < low; k++) rest = 2 * rest + bit(at++);
    number += 1 + ones * 2 ** low + rest;
    while (r <= bound && number >= begin + shell(d, r) / 2) begin += shell(d, r++) / 2;
    need(r <= bound, 'a vector beyond the half lattice');
    need(r <= band, 'a frequency beyond the band');
    let index = number - begin, zero = true, reached = false;
    for (let k = 0; k < d; k++) {
      const left = d - 1 - k, behind = v => zero && !v ? shell(left, r) / 2 : reached || abs(v) === r ? (2 * r + 1) ** left : shell(left, r);
      let v = zero ? 0 : -r;
      for (let count; index >= (count = behind(v)); v++) index -= count;
      values[i * d + k] = v;
      zero = zero && !v;
      reached = reached || abs(v) === r;
    }
  }
  need(bits - at < 8, 'wrong padding');
  while (at < bits) need(!bit(at++), 'wrong padding');
  return values;
}

// Section 10: contexts. Planes have a border of two zeros on every side.

const LOGS = Int16Array.from({ length: 256 }, (_, a) => floor(16 * Math.log2(1 + a) + 0.5));
const logOf = v => v < 0 ? -LOGS[v < -255 ? 255 : -v] : LOGS[v > 255 ? 255 : v];
const bordered = sizes => sizes.map(n => n + 4);

// E_j by its formula: none is so near to an integer that the rounding of exp could matter.
function laplace(number) {
  return cached(4096 + number, () => {
    const q = number % 8 - 4, e = floor(2 ** 24 * Math.exp(-1 / (8 * 2 ** ((number >> 3) / 4 - 4)))), p = new Int32Array(8 * 4099);
    for (let i = 0, v = 2 ** 24; i < p.length; i++, v = floor(v * e / 2 ** 24)) p[i] = v >> 11;
    const up = k => p[8 * k - 4 - q], down = k => p[8 * k - 4 + q], freq = [0];
    let k = 0;
    do {
      k++;
      freq.push(max(1, up(k) - up(k + 1)), max(1, down(k) - down(k + 1)));
    } while (k < 4096 && up(k + 1) - up(k + 2) >= 1 && down(k + 1) - down(k + 2) >= 1);
    freq.push(up(k + 1) + down(k + 1) + 1);
    freq[0] = 16384 - freq.reduce((a, b) => a + b);
    return freq;
  });
}

function readContextNet(part, d, planes) {
  const [h, z, t] = part, x = d === 2 ? 11 : 21;
  need(part.length > 3 && h >= 1 && h <= 64, 'a context network of wrong size');
  const stream = new Stream(part.subarray(3)), own = model(z, t);
  const [a1, a2, b, bias] = [h * (x + 1), 2 * h, 2 * x, 2 * planes].map(n => Float64Array.from({ length: n }, () => stream.next(own)));
  stream.close();
  need([a1, a2, b, bias].every(list => list.every(w => abs(w) <= 32768)), 'a weight beyond 2^15');
  return { a1, a2, b, bias, h, planes };
}

function contextSymbols(part, context, net, level, planes) {
  const f = net.grid_features, sizes = gridSizes(net, level), found = [];
  need(part.length > f, 'a payload ends early');
  const stream = new Stream(part.subarray(f));
  for (let k = 0; k < f; k++) {
    const parent = level ? { sizes: gridSizes(net, level - 1), data: planes[level - 1][k] } : null;
    found.push(contextPlane(stream, context, level, level * f + k, sizes, parent, k ? found[k - 1] : null));
  }
  stream.close();
  return [new Int8Array(part.buffer, part.byteOffset, f), found];
}

const gridSizes = (net, level) => Array(net.in_features).fill(net.levels[level].resolution);

// The places of the vertices of a plane, in C order, within its border.
function inside(sizes) {
  const wide = strides(bordered(sizes)), places = new Int32Array(product(sizes));
  for (let i = 0; i < places.length; i++)
    for (let rest = i, k = sizes.length - 1; k >= 0; rest = floor(rest / sizes[k--])) places[i] += (rest % sizes[k] + 2) * wide[k];
  return places;
}

function unpadded(planes, net, level) {
  const places = inside(gridSizes(net, level)), f = planes.length, found = new Int32Array(places.length * f);
  for (let i = 0; i < found.length; i++) found[i] = planes[i % f][places[floor(i / f)]];
  return found;
}

function padded(symbols, net, level) {
  const sizes = gridSizes(net, level), places = inside(sizes), f = net.grid_features;
  return Array.from({ length: f }, (_, k) => {
    const plane = new Int32Array(product(bordered(sizes)));
    places.forEach((place, i) => { plane[place] = symbols[i * f + k]; });
    return plane;
  });
}

// The symbols of one plane, vertex by vertex along the wavefronts. `parent`: {sizes, data} of its plane of the level before; `last`: that of the
// feature before. A plane of two axes is one of three whose first has one vertex.
function contextPlane(stream, { a1, a2, b, bias, h, planes }, level, column, sizes, parent, last) {
  const d = sizes.length, wide = strides(bordered(sizes)), total = product(bordered(sizes)), count = 3 ** d;
  need(total <= 2 ** 28, 'too large a plane', LIMIT);
  const around = steps => Int32Array.from({ length: count }, (_, i) => steps.reduce((sum, s, k) => sum + s * (floor(i / 3 ** (d - 1 - k)) % 3 - 1), 0));
  const seen = count >> 1, near = Int32Array.of(...around(wide).subarray(0, seen), ...wide.map(s => -2 * s)), now = new Int32Array(total);
  const above = parent ? strides(bordered(parent.sizes)) : wide, over = around(above), old = parent?.data;
  const ups = sizes.map((n, k) => Int32Array.from({ length: parent ? n : 0 }, (_, i) =>
    (floor((2 * i * (parent.sizes[k] - 1) + n - 1) / max(1, 2 * (n - 1))) + 2) * above[k]));
  const [n0, n1, n2] = d === 2 ? [1, ...sizes] : sizes, [s0, s1] = d === 2 ? [0, wide[0]] : wide, origin = 2 * wide.reduce((x, y) => x + y);
  const inputs = d === 2 ? 11 : 21, x = new Float64Array(inputs);
  x[inputs - 1] = 16 * level;
  for (let t = 0, end = 4 * n0 + 2 * n1 + n2 - 7; t <= end; t++)
    for (let i = max(0, ceil((t - 2 * (n1 - 1) - (n2 - 1)) / 4)); i < n0 && 4 * i <= t; i++)
      for (let j = max(0, ceil((t - 4 * i - (n2 - 1)) / 2)); j < n1 && 4 * i + 2 * j <= t; j++) {
        const k = t - 4 * i - 2 * j, at = origin + i * s0 + j * s1 + k;
        let sum = 0, at2 = near.length;
        for (let o = 0; o < near.length; o++) {
          const v = now[at + near[o]];
          x[o] = logOf(v);
          if (o < seen) sum += abs(v);
        }
        x[at2++] = logOf(sum);
        if (parent) {
          const up = d === 2 ? ups[0][j] + ups[1][k] : ups[0][i] + ups[1][j] + ups[2][k];
          x[at2++] = logOf(old[up]);
          sum = 0;
          for (let o = 0; o < count; o++) sum += abs(old[up + over[o]]);
          x[at2++] = logOf(sum);
        } else at2 += 2;
        x[at2] = last ? logOf(last[at]) : 0;
        let centre = 1024 * bias[column], scale = 1024 * bias[planes + column];
        for (let o = 0; o < inputs; o++) {
          centre += 64 * b[o] * x[o];
          scale += 64 * b[inputs + o] * x[o];
        }
        for (let n = 0, w = 0; n < h; n++) {
          let hidden = 0;
          for (let o = 0; o < inputs; o++) hidden += a1[w++] * x[o];
          hidden += 16 * a1[w++];
          if (hidden > 0) {
            centre += a2[n] * hidden;
            scale += a2[h + n] * hidden;
          }
        }
        const e = clip(floor((centre + 4096) / 8192), -8388608, 8388608), place = e + 4 >> 3;
        const symbol = place + stream.next(laplaces(8 * clip(floor((scale + 8192) / 16384) + 16, 0, 48) + e - 8 * place + 4));
        need(abs(symbol) <= 2 ** 30, 'a symbol beyond 2^30');
        now[at] = symbol;
      }
  return now;
}

const ready = Array(392), laplaces = number => ready[number] || (ready[number] = laplace(number));

// Section 11: the integers, one per channel of every nominal sample.
// The axes that a residual is coded on, and how many of the first are in a band.
function planeAxes(grid) {
  const n = product(grid);
  let sizes = grid.filter(size => size > 1);
  if (sizes.length < 2) sizes = [floor(sqrt(n)), ceil(n / floor(sqrt(n)))];
  if (sizes.length === 4) sizes = [sizes[0] * sizes[1], sizes[2], sizes[3]];
  return [sizes, max(1, floor(2 ** 22 / product(sizes.slice(1))))];
}

function readResidual(part, grid, channels) {
  const values = new Int32Array(product(grid) * channels);
  if (!part.length) return values;
  const [sizes, rows] = planeAxes(grid), low = part[0];
  let at = 1, from = 0;
  need(low <= 16, 'too many low bits');
  const sized = () => {
    const [length, begin] = leb128(part, at);
    need(begin + length <= part.length, 'a residual ends early');
    return part.subarray(begin, at = begin + length);
  };
  const context = readContextNet(sized(), sizes.length, channels);
  for (let r = 0; r < sizes[0]; r += rows) {
    const band = [min(rows, sizes[0] - r), ...sizes.slice(1)], places = inside(band), size = places.length * channels;
    const found = new Int32Array(size);
    let parent = null;
    for (let c = 0; c < channels; c++) {
      const stream = new Stream(sized()), plane = contextPlane(stream, context, c, c, band, parent, null);
      stream.close();
      parent = { sizes: band, data: plane };
      for (let i = 0; i < places.length; i++) found[i * channels + c] = plane[places[i]];
    }
    need(found.every(v => abs(v) <= 2 ** 30 >> low), 'an integer too large');
    const end = at + ceil(size * low / 8), bit = i => part[at + (i >> 3)] >> 7 - i % 8 & 1;
    need(end <= part.length, 'low bits end early');
    for (let i = 0, place = 0; i < size; i++) {
      let rest = 0;
      for (let k = 0; k < low; k++) rest = 2 * rest + bit(place++);
      found[i] = found[i] * 2 ** low + rest;
    }
    for (let i = size * low; i < 8 * (end - at); i++) need(!bit(i), 'padding that is not zero');
    at = end;
    values.set(found.subarray(0, values.length - from), from);
    need(found.subarray(values.length - from).every(v => !v), 'a wrong end of the residual');
    from += size;
  }
  need(at === part.length, 'a wrong end of the residual');
  return values;
}

// Section 9: networks. All is evaluated in float64; the samples of a piece are the outer product of np points of the first a axes with nt
// coordinates `tail` of the last axis, or np points of all axes where `tail` is null.

// Taylor's series on +-pi/2, within 2e-15 and twice as fast as Math.sin.
function sine(x) {
  const k = x * 0.3183098861837907 + 6755399441055744 - 6755399441055744;
  if (!(k < 1e5 && k > -1e5)) return Math.sin(x);
  const r = x - k * 3.141592502593994 - k * 1.5099579897537296e-7 - k * 1.2246467991473532e-16, y = r * r;
  const s = r + r * y * (-1 / 6 + y * (1 / 120 + y * (-1 / 5040 + y * (1 / 362880 + y * (-1 / 39916800 + y * (1 / 6227020800 + y * (-1 / 1307674368000 +
    y * (1 / 355687428096000 + y * (-1 / 121645100408832000)))))))));
  return k & 1 ? -s : s;
}

// Weights are packed by four rows, so that four outputs of two samples are summed side by side.
function dense({ w, b, rows, columns }, x, stride, n, y, wide) {
  for (let s = 0; s < n; s += 2)
    for (let o = 0, at = 0; o < rows; o += 4) {
      let a0 = b[o], a1 = b[o + 1], a2 = b[o + 2], a3 = b[o + 3], c0 = a0, c1 = a1, c2 = a2, c3 = a3;
      for (let i = s * stride, end = i + columns; i < end; i++, at += 4) {
        const p = x[i], q = x[i + stride], w0 = w[at], w1 = w[at + 1], w2 = w[at + 2], w3 = w[at + 3];
        a0 += p * w0;
        a1 += p * w1;
        a2 += p * w2;
        a3 += p * w3;
        c0 += q * w0;
        c1 += q * w1;
        c2 += q * w2;
        c3 += q * w3;
      }
      const i = s * wide + o, j = i + wide;
      y[i] = a0;
      y[i + 1] = a1;
      y[i + 2] = a2;
      y[i + 3] = a3;
      y[j] = c0;
      y[j + 1] = c1;
      y[j + 2] = c2;
      y[j + 3] = c3;
    }
}

// sin(k x + phase) from the sines and cosines of its two summands.
function waves(k, phase, d) {
  const n0 = phase.length, ps = new Float64Array(n0), pc = new Float64Array(n0);
  let ts, tc, known = null;
  const tables = tail => {
    ts = new Float64Array(tail.length * n0);
    tc = new Float64Array(tail.length * n0);
    for (let i = 0; i < ts.length; i++) {
      const angle = k[i % n0 * d + d - 1] * tail[floor(i / n0)];
      ts[i] = Math.sin(angle);
      tc[i] = Math.cos(angle);
    }
    known = tail;
  };
  return (prefix, a, np, tail, nt, out, stride) => {
    if (tail && tail !== known) tables(tail);
    for (let i = 0; i < np; i++) {
      for (let j = 0; j < n0; j++) {
        let angle = phase[j];
        for (let e = 0; e < a; e++) angle += k[j * d + e] * prefix[i * a + e];
        ps[j] = sine(angle);
        pc[j] = tail ? Math.cos(angle) : 0;
      }
      if (!tail) out.set(ps, i * stride);
      else
        for (let t = 0, from = 0; t < nt; t++)
          for (let j = 0, to = (i * nt + t) * stride; j < n0; j++, from++) out[to + j] = ps[j] * tc[from] + pc[j] * ts[from];
    }
  };
}

const PRIMES = [1, 2654435761, 805459861, 3674653429];

function gridFeatures({ in_features: d, grid_features: f, levels, stretch }, tables) {
  const wide = f * levels.length, all = levels.map(({ scale, resolution, entries, taps }, i) => {
    const full = entries >= resolution ** d, factors = [1];
    while (factors.length < d) factors.push(full ? imul(factors[factors.length - 1], resolution) : PRIMES[factors.length]);
    return { scale, entries, taps, full, factors, table: Float64Array.from(tables[i]) };
  });
  const place = (level, x, axis, weights, parts, at) => {
    const u = fround((stretch[axis] * x + 1) * 0.5), pos = fround(level.scale * u + 0.5), corner = floor(pos), t = pos - corner;
    const cubic = level.taps === 4, factor = level.factors[d - 1 - axis], t2 = t * t, t3 = t2 * t;
    weights[at] = cubic ? t2 - (t + t3) / 2 : 1 - t;
    weights[at + 1] = cubic ? 1 - 2.5 * t2 + 1.5 * t3 : t;
    if (cubic) {
      weights[at + 2] = t / 2 + 2 * t2 - 1.5 * t3;
      weights[at + 3] = (t3 - t2) / 2;
    }
    for (let e = 0; e < level.taps; e++) parts[at + e] = imul(corner + e, factor);
  };
  const w = new Float64Array(16), parts = new Int32Array(16), tw = new Float64Array(4 * PIECE), tp = new Int32Array(4 * PIECE);
  return (prefix, a, np, tail, nt, out) => {
    out.fill(0, 0, np * nt * wide);
    all.forEach((level, l) => {
      const { taps, full, entries, table } = level, inner = tail ? taps : 1;
      tw[0] = 1;
      tp[0] = 0;
      for (let t = 0; tail && t < nt; t++) place(level, tail[t], d - 1, tw, tp, t * taps);
      for (let i = 0; i < np; i++) {
        for (let k = 0; k < a; k++) place(level, prefix[i * a + k], k, w, parts, k * taps);
        for (let corner = 0; corner < taps ** a; corner++) {
          let weight = 1, part = 0;
          for (let k = 0, rest = corner; k < a; k++, rest = floor(rest / taps)) {
            const at = k * taps + rest % taps;
            weight *= w[at];
            part = full ? part + parts[at] | 0 : part ^ parts[at];
          }
          for (let t = 0, to = i * nt * wide + l * f, at = 0; t < nt; t++, to += wide)
            for (let e = 0; e < inner; e++, at++) {
              let row = (full ? part + tp[at] : part ^ tp[at]) >>> 0;
              if (row >= entries) row %= entries;
              const v = weight * tw[at];
              for (let j = 0; j < f; j++) out[to + j] += v * table[row * f + j];
            }
        }
      }
    });
  };
}

// A function of a piece's points -> outputs, compact.
function network(net, param) {
  const { id, in_features: d, out_features: c, hidden_features: h, hidden_layers: layers, groups, more } = net;
  const linear = (name, scales = () => 1) => {
    const weight = param(`${name}.weight`), bias = param(`${name}.bias`), n = bias.length, rows = four(n), columns = weight.length / n;
    const w = new Float64Array(rows * columns), b = new Float64Array(rows);
    for (let o = 0; o < n; o++) {
      b[o] = bias[o] * scales(o);
      for (let i = 0; i < columns; i++) w[(o - o % 4) * columns + 4 * i + o % 4] = weight[o * columns + i] * scales(o);
    }
    return { w, b, rows, columns };
  };
  const buffer = columns => new Float64Array((PIECE + 2) * columns), wide = max(four(h), h + more);
  const out = linear('out'), last = buffer(out.rows), spare = [buffer(wide), buffer(wide)];
  const compact = n => {
    const y = new Float64Array(n * c);
    for (let i = 0; i < n; i++) for (let j = 0; j < c; j++) y[i * c + j] = last[i * out.rows + j];
    return y;
  };
  if (!net.levels) {
    const msa = id === 'msa.1', omegas = Float64Array.from({ length: h }, (_, j) =>
      fround(10 ** (net.s_min + (h > 1 ? j / (h - 1) : 0) * (net.s_max - net.s_min))));
    const omega = i => j => msa ? omegas[j] : i ? net.omega_0 : net.first_omega_0, first = omega(0);
    const start = waves(Float64Array.from(param('first.weight'), (v, i) => v * first(floor(i / d))), Float64Array.from(param('first.bias'), (v, j) => v * first(j)), d);
    const hidden = Array.from({ length: layers }, (_, i) => linear(`hidden.${i}`, omega(i + 1)));
    return (prefix, a, np, tail, nt) => {
      const n = np * nt;
      let [x, y] = spare;
      start(prefix, a, np, tail, nt, x, wide);
      for (let i = 0; i <= layers; i++) {
        if (i) {
          dense(hidden[i - 1], x, wide, n, y, wide);
          [x, y] = [y, x];
          for (let s = 0; s < n; s++) for (let at = s * wide, end = at + h; at < end; at++) x[at] = sine(x[at]);
        }
        if (msa) for (let s = 0; s < n; s++) for (let j = 0, at = s * wide; j < h; j++) x[at + j] /= omegas[j];
      }
      dense(out, x, wide, n, last, out.rows);
      return compact(n);
    };
  }
  const { frequencies: n0, low, band, bands, period } = net, frequency = param('frequency'), features = net.levels.length * net.grid_features;
  const group = Int32Array.from({ length: n0 }, (_, j) => {
    const size = max(...Array.from(frequency.subarray(j * d, j * d + d), abs));
    return size > low ? floor((size - low - 1) * bands / (band - low)) : -1;
  });
  const start = waves(Float64Array.from(frequency, k => 2 * Math.PI / period * k), Float64Array.from(param('phase')), d);
  const grids = gridFeatures(net, net.levels.map((_, i) => param(`grid.${i}`))), joined = n0 + more;
  const mask0 = linear('mask.0'), mask1 = linear('mask.1'), hidden = Array.from({ length: layers }, (_, i) => linear(`hidden.${i}`, () => net.omega_0));
  const f = buffer(features), first = buffer(joined), m0 = buffer(mask0.rows), m = buffer(mask1.rows), each = h / groups;
  const join = (x, stride, from, n) => {
    for (let s = 0; s < n; s++) for (let j = 0; j < more; j++) x[s * stride + from + j] = f[s * features + j];
  };
  return (prefix, a, np, tail, nt) => {
    const n = np * nt;
    grids(prefix, a, np, tail, nt, f);
    dense(mask0, f, features, n, m0, mask0.rows);
    for (let i = 0, end = n * mask0.rows; i < end; i++) if (m0[i] < 0) m0[i] = 0;
    dense(mask1, m0, mask0.rows, n, m, mask1.rows);
    for (let i = 0, end = n * mask1.rows; i < end; i++) m[i] = 1 / (1 + Math.exp(-m[i]));
    start(prefix, a, np, tail, nt, first, joined);
    for (let s = 0; s < n; s++)
      for (let j = 0, at = s * joined, from = s * mask1.rows; j < n0; j++) if (group[j] >= 0) first[at + j] *= m[from + group[j]];
    join(first, joined, n0, n);
    let x = first, stride = joined;
    for (let i = 0; i < layers; i++) {
      const y = spare[i % 2];
      dense(hidden[i], x, stride, n, y, wide);
      for (let s = 0; s < n; s++)
        for (let g = 0, at = s * wide; g < groups; g++) {
          const scale = m[s * mask1.rows + bands + i * groups + g];
          for (const end = at + each; at < end; at++) y[at] = sine(y[at]) * scale;
        }
      x = y;
      stride = wide;
    }
    join(x, wide, h, n);
    dense(out, x, wide, n, last, out.rows);
    return compact(n);
  };
}

// Section 8: one network per window of the only axis.
function blended(net, { axes: [{ lo, hi, n }], windows: { hop: [hop], overlap: [overlap] } }, params) {
  const count = ceil(n / hop), made = new Map(), c = net.out_features;
  const one = w => {
    if (made.size > 8) made.clear();
    if (!made.has(w)) {
      made.set(w, network(net, name => {
        const { data } = params[name], size = data.length / count;
        return name === 'frequency' ? data : data.subarray(w * size, (w + 1) * size);
      }));
    }
    return made.get(w);
  };
  return (prefix, a, np, tail, nt) => {
    const x = tail || prefix, total = np * nt, q = new Float64Array(total), window = new Int32Array(total), y = new Float64Array(total * c);
    for (let i = 0; i < total; i++) {
      q[i] = n * ((x[i] - lo) / (hi - lo));
      window[i] = clip(floor((q[i] + overlap / 2) / hop), 0, count - 1);
    }
    const used = [...new Set([...window].flatMap(w => [w - 1, w]))].filter(w => w >= 0).sort((u, v) => u - v);
    for (const w of used) {
      const at = [...q.keys()].filter(i => window[i] === w || window[i] === w + 1 && q[i] <= (w + 1) * hop + overlap / 2);
      if (!at.length) continue;
      const found = one(w)(Float64Array.from(at, i => (q[i] - (w + 0.5) * hop) * (2 / (hop + overlap))), 1, at.length, null, 1);
      at.forEach((i, k) => {
        const t = clip((q[i] - w * hop) / overlap + 0.5, 0, 1), r = w ? t * t * (3 - 2 * t) : 1;
        for (let j = 0; j < c; j++) y[i * c + j] += r * (found[k * c + j] - y[i * c + j]);
      });
    }
    return y;
  };
}

// Rounded to a float16, nearest and even.
function half(x) {
  const a = abs(x), e = max(-14, floor(Math.log2(a)) - (2 ** floor(Math.log2(a)) > a)), m = 1.5 * 2 ** (e + 42);
  return a >= 65520 || !a ? x * (a ? Infinity : 1) : Math.sign(x) * (a + m - m);
}

class File {
  #facts;
  #valid;
  #added;
  #limits;
  #evaluate;

  constructor(facts, net, { params, valid, added }, limits) {
    this.head = plain(facts.raw);
    this.params = params;
    this.#facts = facts;
    this.#valid = valid;
    this.#added = added;
    this.#limits = limits;
    this.#evaluate = facts.windows ? blended(net, facts, params) : network(net, name => params[name].data);
  }

  /** Numbers at coordinates, one point after the other: low + v * (high - low), not clipped; v where samples are codes. */
  at(points) {
    points = Float64Array.from(points);
    const { axes, channels } = this.#facts, d = axes.length, c = channels.length, n = points.length / d;
    need(Number.isInteger(n) && points.every(Number.isFinite), 'not finite coordinates of all axes', USAGE);
    need(n * c <= this.#limits.numbers, 'too many points', LIMIT);
    const found = new Float32Array(n * c);
    for (let from = 0; from < n; from += PIECE) {
      const np = min(PIECE, n - from), x = points.subarray(from * d, (from + np) * d);
      const y = this.#evaluate(x, d, np, null, 1);
      for (let i = 0; i < np; i++) {
        let place = 0;
        axes.forEach(({ lo, hi, n }, k) => { place = place * n + clip(floor((x[i * d + k] - lo) / (hi - lo) * n), 0, n - 1); });
        channels.forEach(({ scale, offset, low, high }, k) => {
          const v = low + (scale * y[i * c + k] + offset) * (high - low);
          found[(from + i) * c + k] = this.#valid && !this.#valid[place] ? NaN : v;
        });
      }
    }
    return found;
  }

  // Section 8: per axis the nominal number n, the samples m of the grid, those asked for, and how many finer ones make one.
  #plan({ size, region } = {}) {
    const { axes, channels } = this.#facts;
    size = size ?? axes.map(axis => axis.n);
    region = region ?? axes.map(axis => [0, axis.n]);
    need(size.length === axes.length && region.length === axes.length, 'size or region does not fit the axes', USAGE);
    let total = channels.length;
    const plan = axes.map(({ n, lo, hi }, i) => {
      const m = size[i], [start, stop] = region[i], k = ceil(n / m);
      need(Number.isInteger(m) && m > 0 && start >= 0 && start < stop && stop <= n, 'a wrong size or region', USAGE);
      const first = min(floor(start * m / n + 0.5), m - 1), count = max(floor(stop * m / n + 0.5) - first, 1);
      total *= count * k;
      return { n, lo, hi, m, k, first, count };
    });
    need(total <= this.#limits.numbers, 'too many samples', LIMIT);
    return plan;
  }

  // Numbers of the box of samples at `origin`, from sums over the finer samples.
  #box(plan, origin, shape) {
    const { channels, dtype, bits, floating, residual } = this.#facts, c = channels.length, d = plan.length, a = d - 1, valid = this.#valid;
    const added = this.#added && plan.every(({ m, n }) => m === n) && this.#added;
    const lengths = shape.map((n, i) => n * plan[i].k), inner = strides(shape), outer = strides(plan.map(({ n }) => n));
    const nearest = (i, { n, m, k }) => valid || added ? Number((2n * BigInt(i) + 1n) * BigInt(n) / (2n * BigInt(m * k))) : 0;
    const lines = plan.map((axis, k) => Array.from({ length: lengths[k] }, (_, i) => {
      const at = (axis.first + origin[k]) * axis.k + i;
      return [axis.lo + (at + 0.5) / (axis.m * axis.k) * (axis.hi - axis.lo), floor(i / axis.k) * inner[k], nearest(at, axis) * outer[k]];
    }));
    const sums = new Float64Array(product(shape) * c), counts = new Uint32Array(product(shape)), places = new Float64Array(product(shape));
    const rows = product(lengths.slice(0, a)), ends = strides(lengths.slice(0, a)), piece = min(COLUMNS, lengths[a]), many = floor(PIECE / piece);
    for (let j = 0; j < lengths[a]; j += piece) {
      const columns = lines[a].slice(j, j + piece), tail = Float64Array.from(columns, ([x]) => x), nt = tail.length;
      for (let r = 0; r < rows; r += many) {
        const np = min(many, rows - r), prefix = new Float64Array(np * a), to = new Float64Array(np), from = new Float64Array(np);
        for (let i = 0; i < np; i++)
          for (let k = 0; k < a; k++) {
            const [x, out, near] = lines[k][floor((r + i) / ends[k]) % lengths[k]];
            prefix[i * a + k] = x;
            to[i] += out;
            from[i] += near;
          }
        const y = this.#evaluate(prefix, a, np, tail, nt);
        for (let i = 0, at = 0; i < np; i++)
          for (let t = 0; t < nt; t++, at += c) {
            const place = to[i] + columns[t][1], near = from[i] + columns[t][2];
            places[place] = near;
            if (valid && !valid[near]) continue;
            counts[place]++;
            for (let k = 0; k < c; k++) sums[place * c + k] += y[at + k];
          }
      }
    }
    const top = dtype ? 1 : 2 ** bits - 1;
    channels.forEach(({ scale, offset, low, high }, k) => {
      for (let i = k, place = 0; i < sums.length; i += c, place++) {
        const v = low + clip(scale * (sums[i] / counts[place]) + offset, 0, 1) * (high - low); // NaN where all are missing
        if (!added) sums[i] = v;
        else {
          const x = clip(top * v + residual.step * added[places[place] * c + k], low * top, low * top + (high * top - low * top));
          sums[i] = (floating ? rounded(x, dtype) : floor(x + 0.5)) / top;
        }
      }
    });
    return sums;
  }

  /** Boxes of the grid as they are decoded: {origin, shape, data: Float64Array}, numbers in C order, the channel last. */
  *tiles(options = {}) {
    const plan = this.#plan(options), counts = plan.map(({ count }) => count), tile = options.tile ?? 64;
    need(Number.isInteger(tile) && tile > 0, 'a tile below 1', USAGE);
    const long = [...counts.keys()].filter(i => counts[i] > 1).slice(-2), steps = counts.map((_, i) => long.includes(i) ? tile : 1), boxes = counts.map((n, i) => ceil(n / steps[i])), ends = strides(boxes);
    for (let i = 0; i < product(boxes); i++) {
      const origin = boxes.map((n, k) => floor(i / ends[k]) % n * steps[k]), shape = counts.map((n, k) => min(steps[k], n - origin[k]));
      yield { origin, shape, data: this.#box(plan, origin, shape) };
    }
  }

  /** {data, shape}: numbers as float32, or with `samples` codes or numbers of the file's own type; float16 as float32. */
  grid(options = {}) {
    const { channels, dtype, bits, floating } = this.#facts, c = channels.length, shape = [...this.#plan(options).map(({ count }) => count), c];
    const own = dtype ?? (bits > 8 ? 'uint16' : 'uint8'), top = dtype ? 1 : 2 ** bits - 1, { samples } = options;
    const sample = !samples ? v => v : floating ? v => rounded(v, own) : v => floor(v * top + 0.5);
    const data = new (samples ? TYPES[own] : Float32Array)(product(shape)), wide = strides(shape);
    for (const box of this.tiles(options)) {
      const line = box.shape[box.shape.length - 1] * c, inner = strides([...box.shape, c]);
      for (let i = 0; i < box.data.length; i += line) {
        const to = box.origin.reduce((sum, o, k) => sum + (o + floor(i / inner[k]) % box.shape[k]) * wide[k], 0);
        for (let j = 0; j < line; j++) data[to + j] = sample(box.data[i + j]);
      }
    }
    return { data, shape };
  }

  /** RGBA of a tile's numbers: one channel is grey, the first three are colours; missing samples are transparent. */
  rgba({ data }) {
    const { channels } = this.#facts, c = channels.length, alpha = channels.findIndex(({ role }) => role === 'alpha');
    const colors = [...channels.keys()].filter(k => k !== alpha), pick = colors.length < 3 ? [0, 0, 0].map(() => colors[0] ?? 0) : colors.slice(0, 3);
    const code = (i, k) => floor((data[i * c + k] - channels[k].low) / (channels[k].high - channels[k].low) * 255 + 0.5);
    const found = new Uint8ClampedArray(data.length / c * 4);
    for (let i = 0; i < found.length / 4; i++) {
      pick.forEach((k, j) => { found[4 * i + j] = code(i, k); });
      found[4 * i + 3] = Number.isNaN(data[i * c + pick[0]]) ? 0 : alpha < 0 ? 255 : code(i, alpha);
    }
    return found;
  }

  /** What the constructor of ImageData takes: the last two axes; the region has one sample along the others. */
  imageData(options = {}) {
    const counts = this.#plan(options).map(({ count }) => count), width = counts.pop(), height = counts.pop() ?? 1;
    need(product(counts) === 1, 'more than two axes in the region', USAGE);
    const data = new Uint8ClampedArray(4 * width * height);
    for (const tile of this.tiles(options)) {
      const x = tile.origin[tile.origin.length - 1], y = tile.origin[tile.origin.length - 2] ?? 0, w = 4 * tile.shape[tile.shape.length - 1];
      const found = this.rgba(tile);
      for (let i = 0; i < found.length / w; i++) data.set(found.subarray(i * w, (i + 1) * w), 4 * ((y + i) * width + x));
    }
    return { data, width, height };
  }
}

const rounded = (x, type) => type === 'float16' ? half(x) : type === 'float32' ? fround(x) : x;

/** A file from its bytes. `limits`: see LIMITS; `zstd(frame, size)`: the content of a zstd frame. */
export function parse(bytes, { limits, zstd } = {}) {
  const options = { limits: { ...LIMITS, ...limits }, zstd };
  const data = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = readChunks(data, options.limits), parts = chunks.filter(([name]) => name === 'DATA').map(([, part]) => part);
  const facts = readHead(chunks[0][1], chunks.some(([name]) => name === 'iCCP')), net = readNet(facts);
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => {
    all.set(part, at);
    return at + part.length;
  }, 0);
  return new File(facts, net, readTensors(facts, net, all, options), options.limits);
}
