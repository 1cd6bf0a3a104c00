// In a worker, behind inr.js: answers {id, op, ...} with {id, ...} or {id, error}.

let file, distances, gpu;

const inflated = async bytes =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))).arrayBuffer());

const OPERATIONS = {
  // `mask`: what the zstd frame of missing samples holds, deflated, since the decoder has no zstd.
  async open({ bytes, mask }) {
    const content = mask.length ? await inflated(mask) : null;
    file = parse(bytes, content ? { zstd: () => content } : {});
    return { head: file.head };
  },
  // To draw as well: samples a millisecond by either way.
  async gpu(given) {
    const gl = Gpu.context();
    await OPERATIONS.open(given);
    gpu = new Gpu(gl, file);
    gpu.check();
    return gpu.measure();
  },
  draw(given) {
    return gpu.draw(given);
  },
  picture({ size, region }) {
    const [tile] = file.tiles({ size, region, tile: 2 ** 31 });
    return { rgba: file.rgba(tile) };
  },
  // Single points, in place of the averages of a grid.
  sketch({ points }) {
    return { rgba: file.rgba({ data: file.at(points) }) };
  },
  values({ points }) {
    return { values: file.at(points) };
  },
  numbers({ size, region }) {
    return { values: file.grid({ size, region }).data };
  },
  // A shape's distances on the vertices of a coarse grid.
  field({ values, cells }) {
    distances = { values, cells };
    return {};
  },
  trace({ camera, rect, stride, exact }) {
    return traced(file, distances, camera, rect, stride, exact);
  },
};

globalThis.onmessage = async ({ data: { id, op, ...given } }) => {
  try {
    const found = await OPERATIONS[op](given);
    postMessage({ id, ...found }, Object.values(found).filter(ArrayBuffer.isView).map(({ buffer }) => buffer));
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
