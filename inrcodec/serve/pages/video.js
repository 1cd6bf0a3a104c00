// A video: any moment of it, and its frames at their rate.

import { askPicture, button, clamp, el, group, press, range } from './common.js';
import { Stage } from './stage.js';

const AHEAD = 12, KEPT = 48, STEP = 1.5;

export async function show({ id, object, info, state, view, tools, failed }) {
  const [frames, height, width] = info.axes.map(axis => axis.n), rate = 1 / (info.space.spacing?.[0] || 1 / 25), z = state.number('z', 0);
  let now = clamp(state.number('t', 0), 0, frames - 1), playing = 0, wanted = null;

  const seen = new Map();
  const frame = t => {
    const key = Number(t.toFixed(3));
    if (!seen.has(key)) {
      const asked = askPicture(`/v1/objects/${id}/frames/${key}.png`);
      asked.catch(() => seen.delete(key));
      seen.set(key, asked);
      if (seen.size > Math.max(KEPT, AHEAD)) seen.delete(seen.keys().next().value);
    }
    return seen.get(key);
  };
  const readout = el('output', { class: 'readout' });
  const stage = new Stage(view, {
    label: `${object.name || 'Video'}: a frame`, size: [width, height], failed,
    at: z ? { x: state.number('x', width / 2), y: state.number('y', height / 2), z: z * devicePixelRatio } : null,
    detail: (region, size, signal) => playing ? null : askPicture(`/v1/objects/${id}/render?format=png&frame=${Number(now.toFixed(3))}&region=${region.join(',')}&size=${size.join(',')}`, { signal }),
    told: scale => {
      readout.textContent = scale < 0.995 ? `${Math.round(100 * scale)} %` : `${scale < 10 ? scale.toFixed(1) : Math.round(scale)}×`;
      const at = stage?.place();
      state.set(at ? { x: at.x, y: at.y, z: at.z / devicePixelRatio } : { x: null, y: null, z: null });
    },
  });
  const slider = range('Frame', { min: 0, max: frames - 1, step: 0.25, value: now, oninput: value => go(value) });
  const play = button('Play', () => playing ? stop() : start(), { title: 'Play (Space)', pressed: false });

  async function go(to) {
    now = clamp(to, 0, frames - 1);
    slider.input.value = now;
    slider.say(`${Number.isInteger(now) ? now : now.toFixed(2)} of ${frames - 1} · ${(now / rate).toFixed(2)} s`);
    state.set({ t: now });
    const asked = wanted = frame(now);
    try {
      const picture = await asked;
      if (asked === wanted) stage.show(picture);
    } catch (error) {
      stop();
      failed(error);
    }
  }

  /** At the video's rate, as far as the server keeps up: a frame that is not there yet is waited for. */
  function start() {
    press(play, true);
    play.textContent = 'Pause';
    if (now >= frames - 1) now = 0;
    let due = performance.now(), waiting = false;
    const tick = async time => {
      if (!playing) return;
      if (!waiting && time >= due) {
        waiting = true;
        const next = Math.floor(now) + 1 >= frames ? 0 : Math.floor(now) + 1;
        for (let k = 0; k < AHEAD; k++) frame((next + k) % frames).catch(() => {});
        await go(next);
        due = Math.max(due + 1000 / rate, performance.now() - 1000 / rate);
        waiting = false;
      }
      if (playing) playing = requestAnimationFrame(tick);
    };
    playing = requestAnimationFrame(tick);
  }

  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    press(play, false);
    play.textContent = 'Play';
    go(now);
  }

  tools.append(
    group('Time', play, slider.label),
    group('Zoom', button('−', () => stage.zoom(1 / STEP), { title: 'Smaller (−)' }), readout, button('+', () => stage.zoom(STEP), { title: 'Larger (+)' }),
      button('Fit', () => stage.fit(), { title: 'The whole frame (0)' })),
  );
  go(now);
  await frame(now);
  return {
    key(name) {
      if (name === ' ') playing ? stop() : start();
      else if (name === '[') go(Math.ceil(now) - 1);
      else if (name === ']') go(Math.floor(now) + 1);
      else return stage.key(name);
      return true;
    },
    keys: [['Space', 'play'], ['[ ]', 'frame before, next frame'], ['← → ↑ ↓', 'move'], ['+ −', 'zoom'], ['0', 'the whole frame'], ['wheel pinch', 'zoom']],
  };
}
