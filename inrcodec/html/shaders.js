// GLSL of the passes of gpu.js, made for the sizes of one network. Loops stay loops, so that compilers are quick.

const COMMON = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
#define P ivec2(gl_FragCoord.xy)
`;

const VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID << 1 & 2, gl_VertexID & 2) * 2.0 - 1.0, 0.0, 1.0);
}`;

// The sine of z half turns, by its series on a quarter turn about 0.
const SINE = `vec4 sine(vec4 z) {
  vec4 k = round(z), r = z - k, y = r * r, s = vec4(0.0);
  ${[11, 9, 7, 5, 3, 1].map(n => {
    let term = n % 4 === 1 ? 1 : -1;
    for (let i = 1; i <= n; i++) term *= Math.PI / i;
    return `s = s * y + ${term.toPrecision(12)};`;
  }).join(' ')}
  return s * r * (1.0 - 2.0 * (k - 2.0 * floor(k * 0.5)));
}
`;

const MASK = `uniform sampler2DArray masks;
float masked(int j) {
  return texelFetch(masks, ivec3(P, j >> 2), 0)[j & 3];
}
`;

// A line of `places` per grid level, corner and distance, and behind them one of distances from the middle; axes side by side.
const PLACE = `uniform sampler2D places;
uniform ivec4 starts;
uniform ivec2 shown;
vec2 place(int axis, int line) {
  return texelFetch(places, ivec2(starts[axis] + (axis == shown.x ? P.y : axis == shown.y ? P.x : 0), line), 0).xy;
}
`;

const outputs = n => Array.from({ length: n }, (_, i) => `layout(location = ${i}) out vec4 o${i};\n`).join('');
const each = (n, line) => Array.from({ length: n }, (_, i) => line(i)).join('\n  ');

const featuresSource = ({ d, levels, features, wide }) => `${COMMON}${PLACE}${outputs(1)}uniform sampler2D tables;
uniform uvec4 facts[${levels}]; // rows, taps, whether dense, where its table begins
uniform uvec4 factors[${levels}];
uniform int first;
vec4 weights(float t, bool cubic) {
  float t2 = t * t, t3 = t2 * t;
  return cubic ? vec4(t2 - 0.5 * (t + t3), 1.0 - 2.5 * t2 + 1.5 * t3, 0.5 * t + 2.0 * t2 - 1.5 * t3, 0.5 * (t3 - t2)) : vec4(1.0 - t, t, 0.0, 0.0);
}
float feature(int level, uint f) {
  uvec4 fact = facts[level];
  vec4 w[${d}];
  uint corner[${d}], count = 1u;
  for (int a = 0; a < ${d}; a++) {
    vec2 at = place(a, level);
    w[a] = weights(at.y, fact.y == 4u);
    corner[a] = uint(int(at.x));
    count *= fact.y;
  }
  float sum = 0.0;
  for (uint i = 0u; i < count; i++) {
    float weight = 1.0;
    uint row = 0u, rest = i;
    for (int a = 0; a < ${d}; a++) {
      uint e = rest % fact.y, part = (corner[a] + e) * factors[level][a];
      rest /= fact.y;
      weight *= w[a][e];
      row = fact.z == 1u ? row + part : row ^ part;
    }
    uint at = fact.w + row % fact.x * ${features}u + f;
    sum += weight * texelFetch(tables, ivec2(at % ${wide}u, at / ${wide}u), 0).x;
  }
  return sum;
}
void main() {
  vec4 s = vec4(0.0);
  for (int j = 0; j < 4 && first + j < ${levels * features}; j++) s[j] = feature((first + j) / ${features}, uint((first + j) % ${features}));
  o0 = s;
}`;

// Four neurons: their frequencies, their phases, their masks.
const wavesSource = ({ d, line, rows, grouped }) => `${COMMON}${PLACE}${SINE}${grouped ? MASK : ''}${outputs(rows)}
layout(std140) uniform Block { vec4 w[${6 * rows}]; };
vec4 wave(int i, vec4 x) {
  vec4 s = sine(vec4(dot(w[i], x), dot(w[i + 1], x), dot(w[i + 2], x), dot(w[i + 3], x)) + w[i + 4]);
  ${grouped ? 'for (int j = 0; j < 4; j++) if (w[i + 5][j] >= 0.0) s[j] *= masked(int(w[i + 5][j]));' : ''}
  return s;
}
void main() {
  vec4 x = vec4(0.0);
  for (int a = 0; a < ${d}; a++) x[a] = place(a, ${line}).x;
  ${each(rows, i => `o${i} = wave(${6 * i}, x);`)}
}`;

const ACTIVATIONS = { none: 's', relu: 'max(s, 0.0)', sigmoid: '1.0 / (1.0 + exp(-s))', sine: 'sine(s)', masked: 'sine(s) * group(j)' };
const GROUP = `${MASK}uniform ivec2 groups; // masks before those of this layer, neurons of a group
vec4 group(int j) {
  int g = groups.x + j / groups.y;
  if (groups.y % 4 == 0) return vec4(masked(g));
  return vec4(masked(g), masked(groups.x + (j + 1) / groups.y), masked(groups.x + (j + 2) / groups.y), masked(groups.x + (j + 3) / groups.y));
}
`;

// Biases of all rows, then for each texel that enters the four columns of its matrix of every row.
const linearSource = ({ rows, columns, kind }) => `${COMMON}${/sine|masked/.test(kind) ? SINE : ''}${kind === 'masked' ? GROUP : ''}${outputs(rows)}
uniform sampler2DArray a, b;
uniform ivec2 span;
uniform int first;
layout(std140) uniform Block { vec4 w[${rows * (1 + 4 * columns)}]; };
vec4 activation(vec4 s, int j) {
  return ${ACTIVATIONS[kind]};
}
void main() {
  ${each(rows, i => `vec4 s${i} = w[${i}];`)}
  for (int i = 0, at = ${rows}; i < ${columns}; i++, at += ${4 * rows}) {
    vec4 x = i < span.x ? texelFetch(a, ivec3(P, i), 0) : texelFetch(b, ivec3(P, i - span.x), 0);
    ${each(rows, i => `s${i} += mat4(w[at + ${4 * i}], w[at + ${4 * i + 1}], w[at + ${4 * i + 2}], w[at + ${4 * i + 3}]) * x;`)}
  }
  ${each(rows, i => `o${i} = activation(s${i}, first + ${4 * i});`)}
}`;

const CODES = `${COMMON}${outputs(1)}uniform sampler2DArray a;
uniform ivec2 block;
uniform vec4 scale, offset;
void main() {
  vec4 sum = vec4(0.0);
  for (int i = 0; i < block.x; i++)
    for (int j = 0; j < block.y; j++) sum += texelFetch(a, ivec3(P.x * block.y + j, P.y * block.x + i, 0), 0);
  o0 = floor(clamp(scale * sum / float(block.x * block.y) + offset, 0.0, 1.0) * 255.0 + 0.5) / 255.0;
}`;
