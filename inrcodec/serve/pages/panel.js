// The numbers of a file: what `inrcodec info` tells.

import { bytes, decibels, el, grouped, metric, seconds, sizeOf } from './common.js';

const LEFT_OUT = new Set(['id', 'levels', 'stretch']);

export function fillPanel(panel, object) {
  const { info } = object, psnr = metric(info, 'psnr');
  const samples = info.axes.reduce((product, axis) => product * axis.n, 1);
  panel.replaceChildren(
    el('div', { class: 'figures' },
      figure(bytes(object.bytes), `${info.bpp < 10 ? info.bpp.toFixed(3) : info.bpp.toFixed(1)} bits per ${info.kind === 'image' ? 'pixel' : 'sample'}`),
      figure(decibels(psnr), metric(info, 'ssim') === null ? 'PSNR' : `PSNR, SSIM ${metric(info, 'ssim').toFixed(4)}`),
    ),
    section('Signal', list([
      ['Kind', info.kind],
      ['Size', `${sizeOf(info)} (${grouped(samples)} samples)`],
      ['Channels', info.channels.map(channel => channel.name).join(' ')],
      ['Depth', info.dtype ?? `${info.bits} bits`],
      ...info.channels.filter(channel => 'low' in channel).map(channel => [`Range of ${channel.name}`, `${short(channel.low)} … ${short(channel.high)}`]),
      ...spacingOf(info),
      ...(info.residual ? [['Residual', info.residual.bound ? `within ${short(info.residual.bound)} of the source` : 'lossless']] : []),
      ...(info.tiles ? [['Tiles', grouped(info.tiles.count)]] : []),
    ])),
    section('Network', list([
      ['Architecture', info.network.id],
      ['Parameters', grouped(info.parameters)],
      ['Work per sample', `${grouped(info.macs_per_sample)} multiply-adds`],
      ...(info.network.levels ? [['Grid levels', info.network.levels.map(level => level.resolution).join(', ')]] : []),
    ]), folded('Settings', list(
      Object.entries(info.network).filter(([name, value]) => !LEFT_OUT.has(name) && typeof value === 'number').map(([name, value]) => [spoken(name), short(value)]),
    ))),
    section('Layers', tensorTable(info.tensors)),
    section('Chunks', list(info.chunks.map(chunk => [chunk.type, bytes(chunk.bytes)]))),
    section('Provenance', list([
      ...Object.entries(info.provenance).flatMap(([name, value]) => told(name, value)),
      ['Id', object.id],
    ])),
    el('p', { class: 'links' },
      el('a', { href: object.links.self }, 'JSON'),
      object.links.iiif && info.kind === 'image' ? el('a', { href: object.links.iiif }, 'IIIF info.json') : null,
      el('a', { href: object.links.file }, 'The .inr file'),
    ),
  );
}

const figure = (large, small) => el('div', {}, el('strong', {}, large), el('span', {}, small));

const section = (title, ...content) => el('section', {}, el('h2', {}, title), ...content);

const folded = (title, content) => el('details', {}, el('summary', {}, title), content);

const list = rows => el('dl', {}, ...rows.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, String(value))]));

const short = value => Number.isInteger(value) ? grouped(value) : String(Number(value.toPrecision(5)));

function spacingOf({ kind, space: { spacing, units = '' } }) {
  if (!spacing) return [];
  if (kind === 'audio' || kind === 'video') return [['Rate', `${short(1 / spacing[0])} ${kind === 'audio' ? 'Hz' : 'frames a second'}`]];
  return [['Spacing', `${spacing.map(short).join(' × ')} ${units}`]];
}

const spoken = name => name.replaceAll('_', ' ').replace(/^./, first => first.toUpperCase());

function told(name, value) {
  if (name === 'seconds') return [['Encoded in', seconds(value)]];
  if (value && typeof value === 'object') return Object.entries(value).flatMap(([inner, each]) => told(inner, each));
  return [[spoken(name), String(value)]];
}

/** One row a tensor, with a bar as long as its share of the largest. */
function tensorTable(tensors) {
  const most = Math.max(1, ...tensors.map(tensor => tensor.bytes));
  const row = tensor => {
    const share = el('meter', { min: 0, max: most, value: tensor.bytes, 'aria-hidden': 'true' });
    return el('tr', {},
      el('th', { scope: 'row' }, tensor.name, el('small', {}, `${tensor.shape.join(' × ')} · ${tensor.codec}`)),
      el('td', {}, share),
      el('td', {}, bytes(tensor.bytes), el('small', {}, `${tensor.bits_per_parameter.toFixed(2)} bits`)),
    );
  };
  const head = el('thead', { class: 'unseen' }, el('tr', {}, ...['Tensor', 'Share', 'Bytes'].map(text => el('th', { scope: 'col' }, text))));
  return el('table', {}, head, el('tbody', {}, ...tensors.map(row)));
}
