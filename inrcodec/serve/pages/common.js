// What all pages need: asking the server, making elements, writing numbers for people, and a view's state in the address.

/** What a server refuses, in its own words (problem+json). */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The answer to a request; a server with too much to do is asked again. Raises Problem, also where there is no server any more. */
export async function ask(address, options = {}, tries = 4) {
  let answer;
  try {
    answer = await fetch(address, { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, 'The server does not answer. Is it still running?');
  }
  if (answer.ok) return answer;
  const wait = Number(answer.headers.get('Retry-After'));
  if (wait && tries > 1 && !options.method) {
    await new Promise(done => setTimeout(done, 1000 * wait));
    return ask(address, options, tries - 1);
  }
  throw await problemOf(answer);
}

export const askJson = async (address, options) => (await ask(address, options)).json();

/** The picture at an address, ready to be drawn. */
export async function askPicture(address, options) {
  return createImageBitmap(await (await ask(address, options)).blob(), { colorSpaceConversion: 'none' });
}

async function problemOf(answer) {
  const told = await answer.json().catch(() => ({}));
  return new Problem(answer.status, told.detail || `The server answered ${answer.status} ${answer.statusText}`);
}

/** An element: properties that start with "on" are listeners, others attributes; null and false leave them out. */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** A button that does something, or with `pressed` one that is on or off. */
export function button(text, onclick, { title = null, pressed = null, id = null } = {}) {
  return el('button', { type: 'button', onclick, title, id, 'aria-pressed': pressed === null ? null : String(pressed) }, text);
}

export function press(target, on) {
  target.setAttribute('aria-pressed', String(on));
}

/** A labelled range: {label, input, say(text)}. */
export function range(text, { min, max, step, value, id = null, oninput }) {
  const input = el('input', { type: 'range', min, max, step, value, id, 'aria-label': text, oninput: () => oninput(Number(input.value)) });
  const output = el('output'), label = el('label', { class: 'range' }, el('span', {}, text), input, output);
  return { label, input, say: told => { output.textContent = told; } };
}

export const group = (name, ...children) => el('div', { class: 'group', role: 'group', 'aria-label': name }, ...children);

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [value, unit] = count < 1e6 ? [count / 1e3, 'kB'] : count < 1e9 ? [count / 1e6, 'MB'] : [count / 1e9, 'GB'];
  return `${value < 100 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export const grouped = count => Math.round(count).toLocaleString('en-US').replaceAll(',', '\u202f');

export function seconds(count) {
  if (count < 60) return `${count < 10 ? count.toFixed(1) : Math.round(count)} s`;
  const whole = Math.round(count);
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
}

export const sizeOf = info => {
  const counts = info.axes.map(axis => axis.n);
  return (info.kind === 'image' ? counts.reverse() : counts).join(' × ');
};

export const metric = (info, name) => info.metrics.find(each => each.metric === name)?.value ?? null;

/** A PSNR as the file states it; 999 stands for equal samples. */
export const decibels = value => value === null ? '–' : value >= 999 ? 'lossless' : `${value.toFixed(2)} dB`;

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** What the address holds behind #, as names and values; changes are written there without a new entry in the history. */
export function hashState() {
  const held = new URLSearchParams(location.hash.slice(1));
  let timer = 0;
  const write = () => {
    timer = 0;
    history.replaceState(null, '', `${location.pathname}${location.search}#${held}`);
  };
  return {
    number: (name, otherwise) => held.has(name) && Number.isFinite(Number(held.get(name))) ? Number(held.get(name)) : otherwise,
    text: (name, otherwise) => held.get(name) ?? otherwise,
    /** null removes a name. */
    set(values) {
      for (const [name, value] of Object.entries(values)) {
        if (value === null) held.delete(name);
        else held.set(name, typeof value === 'number' ? String(Number(value.toPrecision(6))) : value);
      }
      timer ||= setTimeout(write, 150);
    },
  };
}

/** Calls `work(value)` for the last value given only, one call at a time. */
export function latest(work, failed) {
  let waiting = null, running = false;
  const next = async () => {
    running = true;
    while (waiting) {
      const [value] = waiting;
      waiting = null;
      try {
        await work(value, () => waiting !== null);
      } catch (error) {
        if (error.name !== 'AbortError') failed(error);
      }
    }
    running = false;
  };
  return value => {
    waiting = [value];
    if (!running) next();
  };
}
