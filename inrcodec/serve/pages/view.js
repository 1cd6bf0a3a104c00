// The page of one object: what it is, drawn by the module of its kind, and its numbers beside it.

import { askJson, bytes, decibels, hashState, metric, sizeOf } from './common.js';
import { fillPanel } from './panel.js';

const $ = name => document.getElementById(name);
const MODULES = { image: './image.js', volume: './slices.js', video: './video.js', shape: './shape.js', audio: './sound.js' };
const SHARED_KEYS = [['I', 'details'], ['?', 'this list']];
const PASSING = 8000; // milliseconds that a failure is told after which the view goes on
const WIDE = matchMedia('(min-width: 900px)');

const id = decodeURIComponent(location.pathname.split('/').pop());
const state = hashState();
let shown = null;

start().catch(failed);

async function start() {
  wire();
  const object = await askJson(`/v1/objects/${encodeURIComponent(id)}`), { info } = object;
  const name = object.name || `${id.slice(7, 19)}.inr`, psnr = metric(info, 'psnr');
  document.title = `${name} – inrcodec`;
  $('name').textContent = name;
  $('name').title = name;
  $('summary').textContent = [info.kind, sizeOf(info), bytes(object.bytes), psnr === null ? null : decibels(psnr)].filter(Boolean).join(' · ');
  const download = $('download');
  download.href = object.links.file;
  download.hidden = false;
  fillPanel($('panel'), object);
  const context = { id, object, info, state, view: $('view'), tools: $('tools'), failed, message };
  shown = await (await import(moduleOf(info))).show(context);
  $('view').setAttribute('aria-busy', 'false');
}

function moduleOf(info) {
  const known = MODULES[info.kind];
  if (known) return known;
  if (info.axes.length === 2 || info.axes.length === 3) return MODULES.volume;
  throw new Error(`A field of ${info.axes.length} axes has no picture here. Its values can be asked for at points: POST /v1/objects/{id}/query.`);
}

function wire() {
  $('details').addEventListener('click', () => panel($('panel').hidden));
  $('help').addEventListener('click', help);
  panel(state.text('i', WIDE.matches ? '1' : '0') === '1', false);
  document.addEventListener('keydown', keyed);
  addEventListener('hashchange', () => location.reload());
}

function panel(open, told = true) {
  $('panel').hidden = !open;
  document.body.classList.toggle('with-panel', open);
  $('details').setAttribute('aria-expanded', String(open));
  if (told) state.set({ i: open ? '1' : '0' });
}

function help() {
  const list = $('keys-list');
  list.replaceChildren();
  for (const [keys, text] of [...(shown?.keys ?? []), ...SHARED_KEYS]) {
    const term = document.createElement('dt'), told = document.createElement('dd');
    for (const key of keys.split(' ')) {
      const cap = document.createElement('kbd');
      cap.textContent = key;
      term.append(cap);
    }
    told.textContent = text;
    list.append(term, told);
  }
  $('keys').showModal();
}

/** Keys are the view's, but for those that an element in focus has of its own. */
function keyed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $('keys').open) return;
  const target = event.target, type = target.type;
  if (target.matches('select, textarea') || target.matches('input') && type !== 'range') return;
  if ((type === 'range' || target.getAttribute('role') === 'slider') && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  if (target.matches('button, a, summary') && (event.key === ' ' || event.key === 'Enter')) return;
  if (target.closest('audio')) return;
  if (event.key === '?') help();
  else if (event.key === 'i') panel($('panel').hidden);
  else if (event.key === 'Escape' && !$('panel').hidden && !WIDE.matches) panel(false);
  else if (!shown?.key(event.key, event)) return;
  event.preventDefault();
}

function message(text) {
  $('message').textContent = text;
  $('message').hidden = !text;
}

function failed(error) {
  message(error.message);
  if (shown) setTimeout(() => message(''), PASSING);
  $('view').setAttribute('aria-busy', 'false');
  if ($('name').textContent === '…') $('name').textContent = 'Not shown';
}
