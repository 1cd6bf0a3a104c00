// A picture: the function in tiles far beyond its nominal size, and over it the source, the error and the masks.

import { ask, button, clamp, el, group, press, range } from './common.js';

const DEPTHS = [64, 16], TILE = 256, CLOSEST = 256; // screen pixels a nominal sample at most
const STEP = 1.5, LEVELS_OF_TILES = 0.5, PATIENCE = 120_000; // milliseconds for a tile

export async function show({ id, object, info, state, view, tools, failed }) {
  const [height, width] = info.axes.map(axis => axis.n), base = `/v1/objects/${id}`;
  const sourced = Boolean(object.source), masks = masksOf(info.network);
  const [deep] = await Promise.all([deepest(id), script('/static/openseadragon.min.js')]);
  const { OpenSeadragon } = globalThis;
  // It adds a style sheet of its own where this is missing, which the page's policy forbids.
  const instead = document.createElementNS('urn:inrcodec', 'style');
  instead.setAttribute('data-openseadragon-mobile-css', '');
  document.head.append(instead);

  const viewer = new OpenSeadragon.Viewer({
    // Tiles on whole pixels of the screen: between them a line would show.
    element: view, drawer: 'canvas', subPixelRoundingForTransparency: 2, showNavigationControl: false, keyboardNavEnabled: false, tabIndex: -1,
    animationTime: still() ? 0 : 0.35, springStiffness: 9, blendTime: 0.1, minPixelRatio: LEVELS_OF_TILES,
    visibilityRatio: 0.4, constrainDuringPan: false, minZoomImageRatio: 0.5, zoomPerScroll: 1.25, maxZoomPixelRatio: CLOSEST,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, crossOriginPolicy: false, imageLoaderLimit: 6,
    timeout: PATIENCE, tileRetryMax: 3, tileRetryDelay: 2000,
  });
  const { viewport, world } = viewer;
  view.querySelector('.openseadragon-canvas')?.setAttribute('aria-label', `${object.name || 'Picture'}: ${width} by ${height} pixels`);

  // Layers from the back to the front; each is added when it is first needed.
  const items = new Map(), ORDER = ['function', 'pixels', 'source', 'mask', 'error'];
  const sources = {
    function: () => deep,
    pixels: () => pyramid(width, height, 1, (region, size) => `${base}/render?region=${region}&size=${size}&format=png`),
    source: () => pyramid(width, height, 1, (region, size) => `${base}/source.png?region=${region}&size=${size}`),
    error: () => pyramid(width, height, 1, (region, size) => `${base}/error.png?region=${region}&size=${size}`),
    mask: () => pyramid(width, height, 4, (region, size) => `${base}/masks/${shown.mask}.png?region=${region}&size=${size}`),
  };
  const nearest = new Set();
  const layer = (name, opacity) => {
    const known = items.get(name);
    if (known) return known.then(item => item.setOpacity(opacity));
    if (!opacity) return null;
    const index = ORDER.slice(0, ORDER.indexOf(name)).filter(each => items.has(each)).length;
    const added = new Promise((resolve, reject) => viewer.addTiledImage({
      tileSource: sources[name](), index, x: 0, y: 0, width: 1, opacity, success: ({ item }) => resolve(item), error: reject,
    }));
    items.set(name, added);
    added.then(item => {
      if (name === 'pixels' || name === 'source') nearest.add(item);
      if (name === 'source') cut();
    }, failed);
    return added;
  };
  const removed = async name => {
    const item = await items.get(name);
    items.delete(name);
    if (item) world.removeItem(item);
  };
  viewer.addHandler('tile-drawing', ({ tiledImage, context }) => {
    context.imageSmoothingEnabled = !(nearest.has(tiledImage) && scale() >= 1);
  });

  const shown = {
    pixels: state.text('p', '0') === '1',
    compare: sourced ? state.number('s', null) : null,
    error: sourced ? clamp(state.number('e', 0), 0, 1) : 0,
    masked: masks ? clamp(state.number('m', 0), 0, 1) : 0,
    mask: clamp(Math.round(state.number('k', 0)), 0, Math.max(0, masks - 1)),
  };

  // Screen pixels a nominal sample.
  const scale = (now = true) => viewport ? viewport.getZoom(now) * viewport.getContainerSize().x / width : 1;
  const centre = () => viewport.getCenter(false);
  const zoom = (factor, at = centre()) => zoomTo(scale(false) * factor, at);
  const zoomTo = (wanted, at = centre()) => {
    viewport.zoomTo(clamp(wanted, 0.02, CLOSEST) * width / viewport.getContainerSize().x, at, still());
    viewport.applyConstraints(still());
  };
  const pan = (x, y) => {
    const size = viewport.getContainerSize();
    viewport.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(x * size.x, y * size.y), false), still());
    viewport.applyConstraints(still());
  };

  // The line between the source on its left and the decoded picture on its right stays where it is while the picture moves.
  const line = el('div', {
    class: 'divider', role: 'slider', tabindex: 0, hidden: true, 'aria-label': 'Source on the left, decoded on the right', 'aria-valuemin': 0, 'aria-valuemax': 100,
  }, el('span', { class: 'tag left' }, 'Source'), el('span', { class: 'tag right' }, 'Decoded'));
  view.append(line);
  const cut = async () => {
    const on = shown.compare !== null;
    line.hidden = !on;
    if (!on) return;
    line.style.left = `${100 * shown.compare}%`;
    line.setAttribute('aria-valuenow', Math.round(100 * shown.compare));
    const item = world.getItemCount() ? await items.get('source') : null;
    if (!item) return;
    const edge = item.viewerElementToImageCoordinates(new OpenSeadragon.Point(shown.compare * view.clientWidth, 0)).x;
    item.setClip(new OpenSeadragon.Rect(0, 0, clamp(edge, 0, width), height));
    item.setOpacity(edge > 0 ? 1 : 0);
  };
  line.addEventListener('pointerdown', event => {
    line.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  line.addEventListener('pointermove', event => {
    if (!line.hasPointerCapture(event.pointerId)) return;
    const box = view.getBoundingClientRect();
    compare((event.clientX - box.left) / box.width);
  });
  line.addEventListener('keydown', event => {
    const way = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, Home: -1, End: 1 }[event.key];
    if (!way) return;
    compare(shown.compare + way);
    event.preventDefault();
  });

  const compare = at => {
    shown.compare = at === null ? null : clamp(at, 0, 1);
    layer('source', shown.compare === null ? 0 : 1);
    press(controls.compare, shown.compare !== null);
    state.set({ s: shown.compare });
    cut();
  };
  const pixels = on => {
    shown.pixels = on;
    layer('pixels', on ? 1 : 0);
    press(controls.pixels, on);
    state.set({ p: on ? '1' : null });
  };
  const error = opacity => {
    shown.error = opacity;
    layer('error', opacity);
    press(controls.error, opacity > 0);
    state.set({ e: opacity || null });
    overlays();
  };
  const masked = opacity => {
    shown.masked = opacity;
    layer('mask', opacity);
    press(controls.masks, opacity > 0);
    state.set({ m: opacity || null, k: opacity ? shown.mask : null });
    overlays();
  };
  const turnTo = async k => {
    if (!masks) return;
    shown.mask = (k % masks + masks) % masks;
    await removed('mask');
    masked(shown.masked || 0.85);
  };

  const readout = el('output', { class: 'readout', 'aria-live': 'off' });
  const controls = {
    pixels: button('Pixels', () => pixels(!shown.pixels), { title: 'The nominal samples as squares (P)', pressed: false }),
    compare: button('Compare', () => compare(shown.compare === null ? 0.5 : null), { title: 'The source beside it (S)', pressed: false }),
    error: button('Error', () => error(shown.error ? 0 : 0.85), { title: 'Where it differs from the source (E)', pressed: false }),
    masks: button('Masks', () => masked(shown.masked ? 0 : 0.85), { title: 'What the network learned to use where (M)', pressed: false }),
  };
  const opacity = range('Opacity', { min: 0.05, max: 1, step: 0.05, value: 0.85, oninput: value => shown.masked ? masked(value) : error(value) });
  const which = el('output', { class: 'which' });
  const more = group('Overlay', opacity.label,
    ...(masks ? [el('span', { class: 'stepper' }, button('‹', () => turnTo(shown.mask - 1), { title: 'Mask before ([)' }), which, button('›', () => turnTo(shown.mask + 1), { title: 'Next mask (])' }))] : []));
  const overlays = () => {
    more.hidden = !(shown.error || shown.masked);
    opacity.input.value = shown.masked || shown.error;
    opacity.say(`${Math.round(100 * opacity.input.value)} %`);
    which.textContent = `Mask ${shown.mask + 1} of ${masks}`;
    which.parentElement?.toggleAttribute('hidden', !shown.masked);
  };
  tools.append(
    group('Zoom', button('−', () => zoom(1 / STEP), { title: 'Smaller (−)' }), readout, button('+', () => zoom(STEP), { title: 'Larger (+)' }),
      button('Fit', () => home(), { title: 'The whole picture (0)' }), button('1:1', () => zoomTo(1)), button('16×', () => zoomTo(16))),
    group('Layers', controls.pixels, sourced ? controls.compare : null, sourced ? controls.error : null, masks ? controls.masks : null),
    more,
  );
  const home = () => viewport.goHome(still());

  const told = () => {
    const now = scale();
    readout.textContent = now < 0.995 ? `${Math.round(100 * now)} %` : `${now < 10 ? now.toFixed(1).replace('.0', '') : Math.round(now)}×`;
    view.dataset.scale = now.toFixed(3);
    cut();
  };
  const kept = () => {
    const { x, y } = centre();
    state.set({ x: x * width, y: y * width, z: scale(false) });
  };
  for (const name of ['animation', 'resize', 'open']) viewer.addHandler(name, told);
  viewer.addHandler('animation-finish', () => {
    told();
    kept();
  });

  await layer('function', 1);
  const z = state.number('z', 0);
  viewport.goHome(true);
  if (z > 0) {
    viewport.zoomTo(z * width / viewport.getContainerSize().x, null, true);
    viewport.panTo(new OpenSeadragon.Point(state.number('x', width / 2) / width, state.number('y', height / 2) / width), true);
  }
  if (shown.pixels) pixels(true);
  if (shown.compare !== null) compare(shown.compare);
  if (shown.error) error(shown.error);
  if (shown.masked) masked(shown.masked);
  overlays();
  told();
  const busy = () => view.toggleAttribute('data-loaded', [...Array(world.getItemCount()).keys()].every(k => world.getItemAt(k).getFullyLoaded()));
  viewer.addHandler('tile-loaded', busy);
  viewer.addHandler('update-viewport', busy);

  const far = 0.15, moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  const acts = {
    '+': () => zoom(STEP), '=': () => zoom(STEP), '-': () => zoom(1 / STEP), _: () => zoom(1 / STEP), 0: home,
    p: () => pixels(!shown.pixels), s: () => sourced && controls.compare.click(), e: () => sourced && controls.error.click(),
    m: () => masks && controls.masks.click(), '[': () => turnTo(shown.mask - 1), ']': () => turnTo(shown.mask + 1),
  };
  return {
    key(name) {
      if (moves[name]) pan(...moves[name]);
      else if (acts[name]) acts[name]();
      else return false;
      return true;
    },
    keys: [
      ['← → ↑ ↓', 'move'], ['+ −', 'zoom'], ['0', 'the whole picture'], ['P', 'nominal samples as squares'],
      ...(sourced ? [['S', 'compare with the source'], ['E', 'error']] : []), ...(masks ? [['M', 'masks'], ['[ ]', 'mask before, next mask']] : []),
      ['drag', 'move'], ['wheel pinch', 'zoom'],
    ],
  };
}

const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** How many masks a network has, from its description. */
export function masksOf({ id, bands = 0, groups = 0, hidden_layers: hidden = 0, masked = null }) {
  if (id.startsWith('sasnet-ablation.')) return masked.reduce((sum, on, layer) => sum + on * (layer ? groups : bands), 0);
  if (id.startsWith('msa-masked.')) return groups * (hidden + 1);
  return id === 'sasnet.1' || id === 'sasnet.2' ? bands + groups * hidden : 0;
}

/** The server's own tiles, as deep as it gives them. */
async function deepest(id) {
  for (const depth of DEPTHS) {
    const answer = await fetch(`/dzi/${depth}/${id}.dzi?format=png`);
    if (answer.ok) return dzi(await answer.text(), `/dzi/${depth}/${id}_files`);
  }
  return dzi(await (await ask(`/dzi/${id}.dzi?format=png`)).text(), `/dzi/${id}_files`);
}

function dzi(text, folder) {
  const image = new DOMParser().parseFromString(text, 'text/xml').documentElement, number = name => Number(image.getAttribute(name));
  const size = image.getElementsByTagName('Size')[0] ?? image.getElementsByTagNameNS('*', 'Size')[0];
  const [width, height] = ['Width', 'Height'].map(name => Number(size.getAttribute(name))), form = image.getAttribute('Format');
  return {
    width, height, tileSize: number('TileSize'), tileOverlap: number('Overlap'), minLevel: 0, maxLevel: Math.ceil(Math.log2(Math.max(width, height, 1))),
    getTileUrl: (level, x, y) => `${folder}/${level}/${x}_${y}.${form}`,
  };
}

/** Tiles of what is asked for by regions in nominal samples, at most `depth` times as fine as those. */
function pyramid(width, height, depth, address) {
  const maxLevel = Math.ceil(Math.log2(Math.max(width, height) * depth));
  return {
    width: width * depth, height: height * depth, tileSize: TILE, tileOverlap: 0, minLevel: 0, maxLevel,
    getTileUrl(level, x, y) {
      const each = depth * 2 ** (level - maxLevel), [columns, rows] = [Math.ceil(width * each), Math.ceil(height * each)];
      const [w, h] = [Math.min(TILE, columns - x * TILE), Math.min(TILE, rows - y * TILE)], left = x * TILE / each, top = y * TILE / each;
      const region = [left, top, Math.min(w / each, width - left), Math.min(h / each, height - top)];
      return address(region.map(edge => Number(edge.toFixed(6))).join(','), `${w},${h}`);
    },
  };
}

const script = src => new Promise((resolve, reject) => {
  const made = document.createElement('script');
  Object.assign(made, { src, onload: resolve, onerror: () => reject(new Error(`${src} could not be loaded`)) });
  document.head.append(made);
});
