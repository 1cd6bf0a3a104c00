// Samples of a WAV file: PCM of 8 to 32 bits, or floats.

/** {rate, channels: Float32Array each} of the bytes of a RIFF WAVE. */
export function readWav(data) {
  const view = new DataView(data), text = at => String.fromCharCode(...new Uint8Array(data, at, 4));
  if (data.byteLength < 12 || text(0) !== 'RIFF' || text(8) !== 'WAVE') throw new Error('sound: expected a WAVE file');
  let form = null;
  for (let at = 12; at + 8 <= data.byteLength;) {
    const name = text(at), length = view.getUint32(at + 4, true), from = at + 8;
    if (name === 'fmt ') {
      const tag = view.getUint16(from, true), [count, rate, bits] = [view.getUint16(from + 2, true), view.getUint32(from + 4, true), view.getUint16(from + 14, true)];
      form = { float: (tag === 0xfffe ? view.getUint16(from + 24, true) : tag) === 3, count, rate, bits };
    } else if (name === 'data' && form) {
      const width = form.bits / 8, frames = Math.floor(Math.min(length, data.byteLength - from) / width / form.count), sample = reader(view, form);
      const channels = Array.from({ length: form.count }, (_, c) => Float32Array.from({ length: frames }, (_, k) => sample(from + (k * form.count + c) * width)));
      return { rate: form.rate, channels };
    }
    at = from + length + length % 2;
  }
  throw new Error('sound: the WAVE file has no samples');
}

function reader(view, { float, bits }) {
  if (float) return bits === 64 ? at => view.getFloat64(at, true) : at => view.getFloat32(at, true);
  if (bits === 8) return at => (view.getUint8(at) - 128) / 128;
  if (bits === 16) return at => view.getInt16(at, true) / 32768;
  if (bits === 24) return at => (view.getInt8(at + 2) * 65536 + view.getUint16(at, true)) / 8388608;
  return at => view.getInt32(at, true) / 2147483648;
}
