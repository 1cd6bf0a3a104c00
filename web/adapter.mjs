// The command line of conformance/README.md: node web/adapter.mjs [--zstd COMMAND] FILE -o OUT [--parameters | --samples | --points POINTS |
// --size M,M --region A:B,A:B]. COMMAND takes a zstd frame on stdin and gives its content on stdout, as 'zstd -dc' does.

import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InrError, parse } from './inr.js';

const text = { type: 'string' }, flag = { type: 'boolean' };
const OPTIONS = { out: { ...text, short: 'o' }, zstd: text, points: text, size: text, region: text, parameters: flag, samples: flag };

function unzstd(command, frame, size) {
  const found = spawnSync(command, { input: frame, shell: true, maxBuffer: size + 1 });
  if (found.error || found.status) throw new Error('the command failed');
  return found.stdout;
}

const bytesOf = data => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** The bits of float16 values, which have no typed array everywhere. */
function halves(values) {
  return Uint16Array.from(values, v => {
    const a = Math.abs(v), sign = Object.is(v, -a) && !Number.isNaN(v) ? 32768 : 0;
    if (Number.isNaN(v)) return 0x7e00;
    if (a < 2 ** -14) return sign + a * 2 ** 24;
    const e = Math.floor(Math.log2(a));
    return sign + (a === Infinity ? 0x7c00 : (e + 15) * 1024 + (a / 2 ** e - 1) * 1024);
  });
}

function parameters(file) {
  return Buffer.concat(Object.entries(file.params).flatMap(([name, { shape, data }]) => [Buffer.from(`${name}[${shape.join(', ')}]`), bytesOf(data)]));
}

function points(file, path) {
  const raw = readFileSync(path);
  return file.at(new Float64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength)));
}

function grid(file, { size, region, samples }) {
  const { data } = file.grid({ size: size?.split(',').map(Number), region: region?.split(',').map(part => part.split(':').map(Number)), samples });
  return samples && file.head.out.dtype === 'float16' ? halves(data) : data;
}

/** [exit code, what belongs on stderr] of a command line. */
export function main(args) {
  const { values: options, positionals: [path] } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  try {
    const file = parse(readFileSync(path), options.zstd ? { zstd: (frame, size) => unzstd(options.zstd, frame, size) } : {});
    writeFileSync(options.out, bytesOf(options.parameters ? parameters(file) : options.points ? points(file, options.points) : grid(file, options)));
  } catch (error) {
    if (!(error instanceof InrError)) throw error;
    return [error.code, `error: ${error.message}`];
  }
  return [0, ''];
}

if (realpathSync(process.argv[1] ?? '.') === fileURLToPath(import.meta.url)) {
  const [code, message] = main(process.argv.slice(2));
  if (message) console.error(message);
  process.exitCode = code;
}
