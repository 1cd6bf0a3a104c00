// Triangles of a binary glTF (.glb): what this server writes, one mesh of one primitive or several.

const MAGIC = 0x46546c67, JSON_CHUNK = 0x4e4f534a;
const TYPES = { 5121: Uint8Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array }, WIDTHS = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };

/** {positions: Float32Array (3 n), normals: Float32Array (3 n), triangles: Uint32Array (3 m), centre, radius} of the bytes of a .glb. */
export function readGlb(data) {
  const view = new DataView(data);
  if (data.byteLength < 20 || view.getUint32(0, true) !== MAGIC || view.getUint32(16, true) !== JSON_CHUNK) throw new Error('mesh: expected a binary glTF');
  const length = view.getUint32(12, true), told = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 20, length))), start = 20 + length + 8;
  const values = number => {
    const accessor = told.accessors[number], part = told.bufferViews[accessor.bufferView], Type = TYPES[accessor.componentType];
    const from = start + (part.byteOffset ?? 0) + (accessor.byteOffset ?? 0), count = accessor.count * WIDTHS[accessor.type];
    return new Type(data.slice(from, from + count * Type.BYTES_PER_ELEMENT));
  };
  const parts = (told.meshes ?? []).flatMap(mesh => mesh.primitives).map(({ attributes, indices }) => ({
    positions: values(attributes.POSITION), normals: attributes.NORMAL === undefined ? null : values(attributes.NORMAL), triangles: indices === undefined ? null : values(indices),
  }));
  const count = parts.reduce((sum, part) => sum + part.positions.length, 0);
  const positions = new Float32Array(count), given = new Float32Array(count), triangles = [], known = parts.every(part => part.normals);
  let at = 0;
  for (const part of parts) {
    positions.set(part.positions, at);
    if (known) given.set(part.normals, at);
    for (const each of part.triangles ?? Uint32Array.from({ length: part.positions.length / 3 }, (_, k) => k)) triangles.push(each + at / 3);
    at += part.positions.length;
  }
  const indices = Uint32Array.from(triangles);
  return { positions, normals: known ? given : normalsOf(positions, indices), triangles: indices, ...ballOf(positions) };
}

/** Of vertices: the mean of the normals of their triangles, each weighted by its area. */
function normalsOf(positions, triangles) {
  const normals = new Float32Array(positions.length);
  for (let i = 0; i < triangles.length; i += 3) {
    const [a, b, c] = [3 * triangles[i], 3 * triangles[i + 1], 3 * triangles[i + 2]];
    const [ux, uy, uz] = [positions[b] - positions[a], positions[b + 1] - positions[a + 1], positions[b + 2] - positions[a + 2]];
    const [vx, vy, vz] = [positions[c] - positions[a], positions[c + 1] - positions[a + 1], positions[c + 2] - positions[a + 2]];
    const [x, y, z] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    for (const at of [a, b, c]) {
      normals[at] += x;
      normals[at + 1] += y;
      normals[at + 2] += z;
    }
  }
  for (let i = 0; i < normals.length; i += 3) {
    const size = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
    for (let k = 0; k < 3; k++) normals[i + k] /= size;
  }
  return normals;
}

function ballOf(positions) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < positions.length; i++) {
    low[i % 3] = Math.min(low[i % 3], positions[i]);
    high[i % 3] = Math.max(high[i % 3], positions[i]);
  }
  return { centre: low.map((each, k) => (each + high[k]) / 2), radius: Math.hypot(...low.map((each, k) => high[k] - each)) / 2 || 1 };
}

/** Each edge once, as pairs of vertices. */
export function edgesOf(triangles, vertices) {
  const seen = new Set(), edges = [];
  for (let i = 0; i < triangles.length; i += 3) {
    for (let k = 0; k < 3; k++) {
      const a = triangles[i + k], b = triangles[i + (k + 1) % 3], key = Math.min(a, b) * vertices + Math.max(a, b);
      if (seen.has(key)) continue;
      seen.add(key);
      edges.push(a, b);
    }
  }
  return Uint32Array.from(edges);
}
