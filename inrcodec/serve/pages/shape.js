// A shape on a turntable: its surface as the server extracts it, lit, by its normals, or as the wires of its triangles.

import { ask, button, clamp, el, group, grouped, press } from './common.js';
import { edgesOf, readGlb } from './mesh.js';
import { fitted, gestures } from './gestures.js';

const RESOLUTIONS = [64, 128, 256], OPENING = Math.tan(Math.PI / 12), AWAY = 4.2, STEP = 1.25, TURN = 0.01;
const SHADINGS = ['Clay', 'Normals'];

const VERTEX = `#version 300 es
uniform mat3 turn;
uniform vec3 centre, view; // view: move to the side and up, zoom
uniform float radius, aspect, lift;
in vec3 position, normal;
out vec3 n, seen;
void main() {
  vec3 p = turn * (position - centre) / radius;
  n = turn * normal;
  float depth = ${AWAY.toFixed(1)} - p.z;
  seen = vec3(p.xy, -depth);
  vec2 flat_ = (p.xy / ${OPENING.toFixed(6)} * view.z + view.xy * depth) / vec2(max(aspect, 1.0), max(1.0 / aspect, 1.0));
  float near = 1.0, far = 8.0;
  gl_Position = vec4(flat_, ((far + near) * depth - 2.0 * far * near) / (far - near) - lift * depth, depth);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
uniform int shading;
uniform vec3 tint;
in vec3 n, seen;
out vec4 color;
void main() {
  vec3 m = normalize(n), toward = normalize(-seen);
  if (dot(m, toward) < -0.3) m = -m; // the inside; at the rim a little less than zero is still outside
  if (shading == 2) { color = vec4(tint, 1.0); return; }
  if (shading == 1) { color = vec4(0.5 + 0.5 * m, 1.0); return; }
  vec3 key = normalize(vec3(-0.5, 0.8, 0.6)), fill = normalize(vec3(0.9, -0.2, 0.35));
  vec3 light = vec3(0.24, 0.25, 0.28) + vec3(0.78, 0.75, 0.70) * max(dot(m, key), 0.0) + vec3(0.14, 0.17, 0.22) * max(dot(m, fill), 0.0);
  float rim = pow(1.0 - max(dot(m, toward), 0.0), 3.0);
  color = vec4(tint * light + 0.12 * rim, 1.0);
}`;

export async function show({ id, object, state, view, tools, failed, message }) {
  const canvas = el('canvas', { tabindex: 0, role: 'img', 'aria-label': `${object.name || 'Shape'}: its surface` });
  view.append(canvas);
  const gl = canvas.getContext('webgl2', { antialias: true, alpha: true });
  const kept = { yaw: 0.6, pitch: 0.35, zoom: 1, x: 0, y: 0 };
  const at = Object.fromEntries(Object.entries(kept).map(([name, value]) => [name, state.number(name, value)]));
  let shading = clamp(Math.round(state.number('c', 0)), 0, SHADINGS.length - 1), wires = state.text('w', '0') === '1', up = state.text('up', 'y');
  let resolution = RESOLUTIONS.includes(state.number('r', 128)) ? state.number('r', 128) : 128, painter = null;

  const facts = el('output', { class: 'facts' });
  const resolutions = RESOLUTIONS.map(each => button(String(each), () => load(each), { title: `Extracted on a grid of ${each} cells a side`, pressed: each === resolution }));
  const shadings = SHADINGS.map((name, k) => button(name, () => shade(k), { title: `${name} (N)`, pressed: k === shading }));
  const wired = button('Wires', () => wire(!wires), { title: 'The edges of the triangles (W)', pressed: wires });
  const upward = button(`${up.toUpperCase()} up`, () => lift(), { title: 'Which axis points up (U)' });
  const links = el('span', { class: 'links' }, ...['glb', 'stl', 'ply', 'obj'].map(form => el('a', { download: '', 'data-form': form }, form.toUpperCase())));
  tools.append(
    group('Surface', ...shadings, wired, upward),
    group('Cells a side', el('span', { class: 'name' }, 'Cells'), ...resolutions, facts),
    group('Zoom', button('−', () => zoom(1 / STEP)), button('+', () => zoom(STEP)), button('Fit', () => home(), { title: 'As at first (0)' })),
    group('Download the mesh', links),
  );

  if (!gl) message('This browser draws no surfaces (WebGL 2); the mesh can be downloaded.');
  const draw = () => {
    if (!gl || !painter) return;
    canvas.setAttribute('aria-busy', 'true');
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      painter({ ...at, shading, wires, up });
      canvas.setAttribute('aria-busy', 'false');
    });
  };
  let frame = 0, asked = 0;

  async function load(wanted) {
    const own = ++asked;
    resolution = wanted;
    resolutions.forEach((each, k) => press(each, RESOLUTIONS[k] === wanted));
    for (const link of links.children) link.href = `/v1/objects/${id}/mesh.${link.dataset.form}?resolution=${wanted}`;
    state.set({ r: wanted === 128 ? null : wanted });
    facts.textContent = 'Extracting …';
    try {
      const mesh = readGlb(await (await ask(`/v1/objects/${id}/mesh.glb?resolution=${wanted}`)).arrayBuffer());
      if (own !== asked) return;
      facts.textContent = `${grouped(mesh.triangles.length / 3)} triangles`;
      if (gl) painter = makePainter(gl, canvas, mesh);
      draw();
    } catch (error) {
      facts.textContent = '';
      failed(error);
    }
  }
  const shade = k => {
    shading = k;
    shadings.forEach((each, j) => press(each, j === k));
    state.set({ c: k || null });
    draw();
  };
  const wire = on => {
    wires = on;
    press(wired, on);
    state.set({ w: on ? '1' : null });
    draw();
  };
  const lift = () => {
    up = up === 'y' ? 'z' : 'y';
    upward.textContent = `${up.toUpperCase()} up`;
    state.set({ up: up === 'y' ? null : up });
    draw();
  };
  const changed = () => {
    state.set(Object.fromEntries(Object.entries(at).map(([name, value]) => [name, Math.abs(value - kept[name]) < 1e-6 ? null : value])));
    draw();
  };
  const zoom = factor => {
    const next = clamp(at.zoom * factor, 0.2, 60);
    Object.assign(at, { x: at.x * next / at.zoom, y: at.y * next / at.zoom, zoom: next });
    changed();
  };
  const home = () => {
    Object.assign(at, kept);
    changed();
  };
  const turn = (x, y) => {
    at.yaw += x;
    at.pitch = clamp(at.pitch + y, -1.57, 1.57);
    changed();
  };
  gestures(canvas, {
    drag(x, y, aside) {
      const pixel = 2 / Math.min(canvas.width, canvas.height), slow = TURN / devicePixelRatio / Math.max(1, at.zoom);
      if (!aside) return turn(x * slow, y * slow);
      Object.assign(at, { x: at.x + x * pixel, y: at.y - y * pixel });
      return changed();
    },
    zoom: factor => zoom(factor),
  });
  fitted(canvas, draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  await load(resolution);

  const far = 0.12, turns = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  return {
    key(name) {
      if (turns[name]) turn(...turns[name]);
      else if (name === '+' || name === '=') zoom(STEP);
      else if (name === '-' || name === '_') zoom(1 / STEP);
      else if (name === '0') home();
      else if (name === 'n') shade((shading + 1) % SHADINGS.length);
      else if (name === 'w') wire(!wires);
      else if (name === 'u') lift();
      else if (name === '[' || name === ']') load(RESOLUTIONS[clamp(RESOLUTIONS.indexOf(resolution) + (name === ']' ? 1 : -1), 0, RESOLUTIONS.length - 1)]);
      else return false;
      return true;
    },
    keys: [
      ['← → ↑ ↓', 'turn'], ['+ −', 'zoom'], ['0', 'as at first'], ['N', 'clay or normals'], ['W', 'wires'], ['U', 'Y or Z up'], ['[ ]', 'coarser, finer'],
      ['drag', 'turn'], ['Shift+drag', 'move'], ['wheel pinch', 'zoom'],
    ],
  };
}

/** A function that draws the mesh as seen from somewhere. */
function makePainter(gl, canvas, mesh) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`shape: the shaders do not compile: ${gl.getProgramInfoLog(program)}`);
  const buffer = (target, values) => {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, values, gl.STATIC_DRAW);
    return made;
  };
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  for (const [name, values] of [['position', mesh.positions], ['normal', mesh.normals]]) {
    const place = gl.getAttribLocation(program, name);
    buffer(gl.ARRAY_BUFFER, values);
    if (place < 0) continue;
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
  }
  const faces = buffer(gl.ELEMENT_ARRAY_BUFFER, mesh.triangles);
  let lines = null, count = 0;
  const uniform = name => gl.getUniformLocation(program, name);
  return ({ yaw, pitch, zoom, x, y, shading, wires, up }) => {
    if (wires && !lines) {
      const edges = edgesOf(mesh.triangles, mesh.positions.length / 3);
      lines = buffer(gl.ELEMENT_ARRAY_BUFFER, edges);
      count = edges.length;
    }
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(program);
    gl.bindVertexArray(array);
    gl.uniformMatrix3fv(uniform('turn'), false, turned(yaw, pitch, up));
    gl.uniform3fv(uniform('centre'), mesh.centre);
    gl.uniform3f(uniform('view'), x, y, zoom);
    gl.uniform1f(uniform('radius'), mesh.radius);
    gl.uniform1f(uniform('aspect'), canvas.width / canvas.height);
    gl.uniform1f(uniform('lift'), 0);
    gl.uniform1i(uniform('shading'), shading);
    gl.uniform3fv(uniform('tint'), dark ? [0.78, 0.74, 0.68] : [0.8, 0.76, 0.7]);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    gl.drawElements(gl.TRIANGLES, mesh.triangles.length, gl.UNSIGNED_INT, 0);
    if (!wires) return;
    gl.uniform1f(uniform('lift'), 0.0006);
    gl.uniform1i(uniform('shading'), 2);
    gl.uniform3fv(uniform('tint'), [0.12, 0.2, 0.2]);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, lines);
    gl.drawElements(gl.LINES, count, gl.UNSIGNED_INT, 0);
  };
}

/** Column by column: from the world to what is seen, x to the right, y up, z toward the eye. */
function turned(yaw, pitch, up) {
  const [c, s, d, e] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const rows = [[c, 0, s], [e * s, d, -e * c], [-d * s, e, d * c]];
  // With z up the world's y points away from the eye.
  const columns = up === 'y' ? [0, 1, 2].map(k => rows.map(row => row[k])) : [rows.map(row => row[0]), rows.map(row => -row[2]), rows.map(row => row[1])];
  return Float32Array.from(columns.flat());
}
