// Sound: played by the browser, and drawn. Zoomed in beyond its samples the curve is the function itself, at a higher rate.

import { ask, button, clamp, el, group } from './common.js';
import { fitted, gestures } from './gestures.js';
import { readWav } from './wave.js';

const STEP = 1.5, REST = 160, SHORTEST = 24, FINEST = 192000; // samples in view at least; samples a second at most

export async function show({ id, object, info, state, view, tools, failed }) {
  const count = info.axes[0].n, rate = Math.round(1 / (info.space.spacing?.[0] || 1 / 8000)), length = count / rate, base = `/v1/objects/${id}/audio.wav`;
  const audio = el('audio', { src: base, preload: 'metadata', controls: true, 'aria-label': object.name || 'Sound' });
  const canvas = el('canvas', { tabindex: 0, role: 'img', 'aria-label': `${object.name || 'Sound'}: its curve, ${length.toFixed(2)} seconds` });
  view.classList.add('sound');
  view.append(canvas);
  const context = canvas.getContext('2d'), readout = el('output', { class: 'facts' });
  let at = { from: state.number('from', 0), to: state.number('to', length) }, whole = null, fine = null, frame = 0, timer = 0, moved = false;
  if (!(at.to - at.from > 0)) at = { from: 0, to: length };
  audio.addEventListener('loadedmetadata', () => { audio.currentTime = clamp(state.number('t', 0), 0, length); }, { once: true });

  const draw = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint(context, canvas, at, fine ?? whole, audio.currentTime);
      if (!audio.paused) draw();
    });
  };
  const look = (from, to) => {
    const span = clamp(to - from, SHORTEST / rate, length), start = clamp(from, 0, length - span);
    at = { from: start, to: start + span };
    readout.textContent = `${start.toFixed(span < 1 ? 4 : 2)} – ${at.to.toFixed(span < 1 ? 4 : 2)} s`;
    state.set(span >= length * 0.9999 ? { from: null, to: null } : at);
    if (fine && (fine.from > at.from || fine.to < at.to)) fine = null;
    canvas.setAttribute('aria-busy', 'true');
    clearTimeout(timer);
    timer = setTimeout(() => refine().catch(failed), REST);
    draw();
  };
  const zoom = (factor, middle = (at.from + at.to) / 2) => look(middle - (middle - at.from) / factor, middle + (at.to - middle) / factor);
  const second = x => at.from + x / canvas.width * (at.to - at.from);

  /** Where a pixel is shorter than a sample: the function at more of them. */
  async function refine() {
    const span = at.to - at.from, wanted = Math.min(FINEST, Math.ceil(canvas.width / span));
    if (wanted > rate) {
      const margin = 8 / rate, [start, stop] = [Math.max(0, at.from - margin), Math.min(length, at.to + margin)], asked = at;
      const made = readWav(await (await ask(`${base}?rate=${wanted}&start=${start.toFixed(6)}&stop=${stop.toFixed(6)}`)).arrayBuffer());
      if (asked !== at) return;
      fine = { ...made, from: start, to: stop };
    } else fine = null;
    canvas.setAttribute('aria-busy', 'false');
    draw();
  }

  const play = () => audio.paused ? audio.play().catch(failed) : audio.pause();
  const toggled = () => {
    state.set({ t: audio.currentTime || null });
    draw();
  };
  for (const name of ['play', 'pause', 'ended', 'seeked']) audio.addEventListener(name, toggled);
  const seek = to => { audio.currentTime = clamp(to, 0, length); };

  gestures(canvas, {
    drag(x) {
      moved ||= Math.abs(x) > 1;
      const span = at.to - at.from;
      if (moved) look(at.from - x / canvas.width * span, at.to - x / canvas.width * span);
    },
    zoom: (factor, x) => zoom(factor, second(x)),
  });
  canvas.addEventListener('pointerdown', () => { moved = false; });
  canvas.addEventListener('click', event => {
    if (!moved) seek(second(event.offsetX / canvas.clientWidth * canvas.width));
  });
  fitted(canvas, () => look(at.from, at.to));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  tools.append(
    group('Sound', audio),
    group('Zoom', button('−', () => zoom(1 / STEP)), button('+', () => zoom(STEP)), button('Fit', () => look(0, length), { title: 'All of it (0)' }), readout),
  );
  whole = { ...readWav(await (await ask(base)).arrayBuffer()), from: 0, to: length };
  look(at.from, at.to);

  const shift = part => look(at.from + part * (at.to - at.from), at.to + part * (at.to - at.from));
  return {
    key(name) {
      if (name === ' ') play();
      else if (name === '+' || name === '=' || name === 'ArrowUp') zoom(STEP);
      else if (name === '-' || name === '_' || name === 'ArrowDown') zoom(1 / STEP);
      else if (name === '0') look(0, length);
      else if (name === 'ArrowLeft' || name === 'ArrowRight') shift(name === 'ArrowLeft' ? -0.15 : 0.15);
      else if (name === '[' || name === ']') seek(audio.currentTime + (name === ']' ? 1 : -1) * Math.max((at.to - at.from) / 20, 0.05));
      else return false;
      return true;
    },
    keys: [['Space', 'play'], ['[ ]', 'back, forward'], ['← →', 'move'], ['+ −', 'zoom'], ['0', 'all of it'], ['click', 'play from here'], ['wheel pinch', 'zoom']],
  };
}

/** One band a channel: between the least and the greatest sample of every column, or the curve where samples are wider than columns. */
function paint(context, canvas, { from, to }, sound, now) {
  const { width, height } = canvas, style = getComputedStyle(canvas), ink = style.getPropertyValue('--accent'), soft = style.getPropertyValue('--line');
  context.clearRect(0, 0, width, height);
  if (!sound) return;
  const band = height / sound.channels.length, each = (to - from) * sound.rate / width;
  const top = Math.max(0.05, ...sound.channels.map(samples => samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0)));
  sound.channels.forEach((samples, c) => {
    const middle = band * (c + 0.5), y = value => middle - value / top * band * 0.44, first = (from - sound.from) * sound.rate;
    context.fillStyle = soft;
    context.fillRect(0, Math.round(middle), width, 1);
    context.fillStyle = context.strokeStyle = ink;
    if (each >= 2) {
      for (let x = 0; x < width; x++) {
        const [a, b] = [Math.max(0, Math.floor(first + x * each)), Math.min(samples.length, Math.ceil(first + (x + 1) * each))];
        if (a >= b) continue;
        let [least, most] = [samples[a], samples[a]];
        for (let k = a + 1; k < b; k++) {
          least = Math.min(least, samples[k]);
          most = Math.max(most, samples[k]);
        }
        context.fillRect(x, y(most), 1, Math.max(1, y(least) - y(most)));
      }
      return;
    }
    context.lineWidth = 1.5 * devicePixelRatio;
    context.lineJoin = 'round';
    context.beginPath();
    const [a, b] = [Math.max(0, Math.floor(first) - 1), Math.min(samples.length, Math.ceil(first + width * each) + 2)];
    for (let k = a; k < b; k++) context.lineTo((k + 0.5 - first) / each, y(samples[k]));
    context.stroke();
  });
  const x = (now - from) / (to - from) * width;
  context.fillStyle = style.getPropertyValue('--text');
  if (x >= 0 && x <= width) context.fillRect(x, 0, 1.5 * devicePixelRatio, height);
}
