// A Web Worker that decodes: new Worker('worker.js', {type: 'module'}). Post {id, bytes, options}; tiles come back as
// {id, tile: {origin, shape, rgba}}, then {id, done: true}, or {id, error, code}.

import { parse } from './inr.js';

globalThis.onmessage = ({ data: { id, bytes, options } }) => {
  try {
    const file = parse(bytes, options);
    for (const tile of file.tiles(options)) {
      const rgba = file.rgba(tile);
      postMessage({ id, tile: { origin: tile.origin, shape: tile.shape, rgba } }, [rgba.buffer]);
    }
    postMessage({ id, done: true });
  } catch (error) {
    postMessage({ id, error: error.message, code: error.code });
  }
};
