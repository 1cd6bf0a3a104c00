// A volume: slices along each axis, the window of their grey, and a pass through them. Of two axes: one picture.

import { askPicture, button, clamp, el, group, latest, press, range } from './common.js';
import { Stage } from './stage.js';

const KEPT = 96, A_SECOND = 15, STEP = 1.5;

export async function show({ id, object, info, state, view, tools, failed }) {
  const counts = info.axes.map(axis => axis.n), names = info.axes.map(axis => axis.name), deep = counts.length === 3;
  const spacing = info.space.spacing ?? counts.map(() => 1), ranges = windowOf(info);
  let axis = deep ? clamp(Math.round(state.number('a', 0)), 0, 2) : 0;
  let index = deep ? clamp(state.number('n', (counts[axis] - 1) / 2 | 0), 0, counts[axis] - 1) : 0;
  let [low, high] = ranges ? [state.number('l', ranges[0]), state.number('h', ranges[1])] : [null, null];
  let playing = 0;

  const address = (more = '') => {
    const slice = deep ? `&axis=${axis}&index=${Number(index.toFixed(3))}` : '', grey = low === null ? '' : `&low=${low}&high=${high}`;
    return `/v1/objects/${id}/render?format=png${slice}${grey}${more}`;
  };
  const seen = new Map();
  const picture = where => {
    if (!seen.has(where)) {
      const asked = askPicture(where);
      asked.catch(() => seen.delete(where));
      seen.set(where, asked);
      if (seen.size > KEPT) seen.delete(seen.keys().next().value);
    }
    return seen.get(where);
  };
  // Rows and columns of a slice are the axes that are left, in their order.
  const across = () => [0, 1, 2].filter(each => !deep ? each < 2 : each !== axis).reverse();
  const shape = () => [across().map(each => counts[each]), across().map(each => spacing[each])];
  const [size, unit] = shape(), z = state.number('z', 0);
  const readout = el('output', { class: 'readout' });
  const stage = new Stage(view, {
    label: `${object.name || info.kind}: a slice`, size, unit, failed,
    at: z ? { x: state.number('x', size[0] / 2), y: state.number('y', size[1] / 2), z: z * devicePixelRatio } : null,
    turn: deep ? steps => go(index + steps) : null,
    detail: (region, wanted, signal) => askPicture(address(`&region=${region.join(',')}&size=${wanted.join(',')}`), { signal }),
    told: scale => {
      readout.textContent = scale < 0.995 ? `${Math.round(100 * scale)} %` : `${scale < 10 ? scale.toFixed(1) : Math.round(scale)}×`;
      const at = stage?.place();
      state.set(at ? { x: at.x, y: at.y, z: at.z / devicePixelRatio } : { x: null, y: null, z: null });
    },
  });
  const draw = latest(async where => stage.show(await picture(where)), failed);

  const position = deep ? range(names[axis], { min: 0, max: counts[axis] - 1, step: 0.25, value: index, oninput: value => go(value) }) : null;
  const axes = names.map((name, k) => button(name.toUpperCase(), () => along(k), { title: `Slices along ${name} (${k + 1})`, pressed: k === axis }));
  const play = button('Play', () => playing ? stop() : start(), { title: 'All slices (Space)', pressed: false });
  const span = ranges ? ranges[1] - ranges[0] : 1;
  const bound = (text, value, set) => range(text, { min: ranges[0], max: ranges[1], step: span / 256, value, oninput: set });
  const bounds = ranges && [
    bound('Low', low, value => grey(Math.min(value, high - span / 256), high)),
    bound('High', high, value => grey(low, Math.max(value, low + span / 256))),
  ];

  function go(to) {
    index = clamp(to, 0, counts[axis] - 1);
    update();
  }

  function along(k) {
    const part = index / Math.max(1, counts[axis] - 1);
    axis = k;
    index = Math.round(part * (counts[axis] - 1));
    stage.reshape(...shape());
    axes.forEach((each, j) => press(each, j === axis));
    position.label.firstChild.textContent = names[axis];
    position.input.setAttribute('aria-label', names[axis]);
    position.input.max = counts[axis] - 1;
    update();
  }

  function grey(a, b) {
    [low, high] = [a, b];
    update();
  }

  function update() {
    if (deep) {
      position.input.value = index;
      position.say(`${Number.isInteger(index) ? index : index.toFixed(2)} of ${counts[axis] - 1}`);
    }
    if (bounds) [low, high].forEach((value, k) => {
      bounds[k].input.value = value;
      bounds[k].say(Number(value.toPrecision(4)));
    });
    const default_ = !ranges || low === ranges[0] && high === ranges[1];
    state.set({ a: axis || null, n: deep ? index : null, l: default_ ? null : low, h: default_ ? null : high });
    draw(address());
  }

  function start() {
    press(play, true);
    play.textContent = 'Pause';
    playing = setInterval(() => go(index >= counts[axis] - 1 ? 0 : Math.floor(index) + 1), 1000 / A_SECOND);
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    press(play, false);
    play.textContent = 'Play';
  }

  tools.append(...[
    deep ? group('Slice', ...axes, play, position.label) : null,
    group('Zoom', button('−', () => stage.zoom(1 / STEP), { title: 'Smaller (−)' }), readout, button('+', () => stage.zoom(STEP), { title: 'Larger (+)' }),
      button('Fit', () => stage.fit(), { title: 'The whole slice (0)' })),
    bounds ? group('Window', ...bounds.map(each => each.label), button('Reset', () => grey(...ranges), { title: 'The whole range' })) : null,
  ].filter(Boolean));
  update();
  await picture(address());

  return {
    key(name) {
      if (deep && name === '[') go(Math.ceil(index) - 1);
      else if (deep && name === ']') go(Math.floor(index) + 1);
      else if (deep && name === ' ') playing ? stop() : start();
      else if (deep && '123'.includes(name)) along(Number(name) - 1);
      else return stage.key(name);
      return true;
    },
    keys: [
      ...(deep ? [['[ ]', 'slice before, next slice'], ['1 2 3', 'the axis'], ['Space', 'play'], ['wheel', 'slices'], ['Shift+wheel pinch', 'zoom']] : [['wheel pinch', 'zoom']]),
      ['← → ↑ ↓', 'move'], ['+ −', 'zoom'], ['0', 'the whole slice'],
    ],
  };
}

/** The range of the first channel in the numbers of the source, where the file states it. */
function windowOf({ channels: [first] }) {
  return 'low' in first && first.high > first.low ? [first.low, first.high] : null;
}
