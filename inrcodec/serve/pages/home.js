// The page of all files: what is there, and what is being encoded.

import { ask, askJson, button, bytes, decibels, el, metric, Problem, seconds, sizeOf } from './common.js';

const $ = name => document.getElementById(name);
const AIMS = {
  quality: { name: '0 to 100', placeholder: 'default' }, psnr: { name: 'dB', placeholder: '35' }, bpp: { name: 'Bits', placeholder: '1.5' },
  size: { name: 'At most', placeholder: '50k' }, lossless: null,
};
const PICTURED = ['image', 'volume', 'video'], PAGE = 60, SIDE = 320;
const STAGES = { queued: 'Waits for its turn', running: 'Encoding', succeeded: 'Done', failed: 'Failed', cancelled: 'Cancelled' };

wire();
objects('').catch(failed);
if (!document.body.classList.contains('read-only')) jobs().catch(failed);

function wire() {
  const drop = $('drop');
  $('file').addEventListener('change', event => {
    take([...event.target.files]);
    event.target.value = '';
  });
  $('form').addEventListener('submit', event => event.preventDefault());
  $('aim').addEventListener('change', aimed);
  $('effort').addEventListener('input', () => { $('effort-value').textContent = $('effort').value; });
  $('more').addEventListener('click', event => objects(event.target.dataset.cursor).catch(failed));
  if (document.body.classList.contains('read-only')) return;
  for (const name of ['dragenter', 'dragover']) document.addEventListener(name, event => {
    event.preventDefault();
    drop.classList.add('over');
  });
  document.addEventListener('dragleave', event => {
    if (!event.relatedTarget) drop.classList.remove('over');
  });
  document.addEventListener('drop', event => {
    event.preventDefault();
    drop.classList.remove('over');
    take([...event.dataTransfer.files]);
  });
  aimed();
}

function aimed() {
  const aim = AIMS[$('aim').value];
  $('target-label').hidden = !aim;
  if (!aim) return;
  $('target-name').textContent = aim.name;
  $('target').placeholder = aim.placeholder;
  $('target').value = '';
}

/** The options of the form as query parameters. Raises Problem. */
function options() {
  const aim = $('aim').value, target = $('target').value.trim(), query = new URLSearchParams({ effort: $('effort').value });
  if (aim === 'lossless') query.set('lossless', 'true');
  else if (target) query.set(aim, aim === 'size' ? String(count(target)) : target);
  else if (aim !== 'quality') throw new Problem(400, `${$('aim').selectedOptions[0].text}: expected a number, got none`);
  return query;
}

/** A number of bytes from "51200", "50k" or "1.5M". */
function count(text) {
  const found = /^([\d.]+)\s*([kM]?)B?$/i.exec(text), factor = { '': 1, k: 1e3, m: 1e6 };
  if (!found || !Number(found[1])) throw new Problem(400, `Bytes: expected a number such as 51200, 50k or 1.5M, got ${text}`);
  return Math.round(Number(found[1]) * factor[found[2].toLowerCase()]);
}

async function take(chosen) {
  message('');
  for (const file of chosen) {
    const own = file.name.toLowerCase().endsWith('.inr'), name = encodeURIComponent(file.name);
    try {
      if (own) {
        await ask(`/v1/objects?name=${name}`, { method: 'POST', body: file });
        await objects('');
      } else {
        const answer = await ask(`/v1/jobs?name=${name}&${options()}`, { method: 'POST', body: file });
        follow(await answer.json());
      }
    } catch (error) {
      failed(error, file.name);
    }
  }
}

async function jobs() {
  const known = await askJson('/v1/jobs?limit=20');
  for (const job of known.jobs.filter(each => each.state === 'queued' || each.state === 'running')) follow(job);
}

/** A row of an encode, which follows it to its end. */
function follow(job) {
  const address = `/v1/jobs/${encodeURIComponent(job.id)}`, events = new EventSource(`${address}/events`);
  const bar = el('progress', { max: 1, 'aria-label': `Encoding ${job.name}` }), facts = el('span', { class: 'facts', role: 'status' });
  const acts = el('span', { class: 'acts' }), row = el('li', { 'data-state': job.state }, el('strong', {}, job.name || 'Unnamed'), bar, facts, acts);
  const cancel = button('Cancel', () => ask(address, { method: 'DELETE' }).catch(failed));
  acts.append(cancel);
  $('job-list').prepend(row);
  $('jobs').hidden = false;
  const told = now => {
    row.dataset.state = now.state;
    const { progress } = now;
    if (progress?.steps) bar.value = progress.step / progress.steps;
    facts.textContent = [
      progress && now.state === 'running' ? `${progress.stage} ${progress.step}/${progress.steps}` : STAGES[now.state],
      ...(progress ? [progress.psnr === null ? null : `${progress.psnr.toFixed(2)} dB`, progress.bytes === null ? null : bytes(progress.bytes)] : []),
      progress?.eta && now.state === 'running' ? `${seconds(progress.eta)} left` : null,
    ].filter(Boolean).join(' · ');
  };
  const ended = now => {
    events.close();
    told(now);
    bar.hidden = true;
    cancel.remove();
    if (now.problem) facts.textContent = now.problem.detail;
    if (now.object) acts.append(el('a', { class: 'button primary', href: `/view/${now.object}` }, 'Open'), el('a', { class: 'button', href: `/v1/objects/${now.object}/file` }, 'Download'));
    acts.append(button('×', () => {
      row.remove();
      $('jobs').hidden = !$('job-list').children.length;
    }, { title: 'Take it off the list' }));
    if (now.object) objects('').catch(failed);
  };
  events.addEventListener('progress', event => told(JSON.parse(event.data)));
  events.addEventListener('end', event => ended(JSON.parse(event.data)));
  told(job);
}

/** A page of the list; the first one replaces what is there. */
async function objects(cursor) {
  const page = await askJson(`/v1/objects?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`), list = $('object-list');
  const cards = page.objects.map(card);
  if (cursor) list.append(...cards);
  else list.replaceChildren(...cards);
  $('nothing').hidden = list.children.length > 0;
  $('more').hidden = !page.cursor;
  $('more').dataset.cursor = page.cursor ?? '';
}

function card(object) {
  const picture = el('span', { class: 'thumb' }), facts = el('span', { class: 'facts' }, bytes(object.bytes)), kind = el('span', { class: 'kind' });
  const name = object.name || `${object.id.slice(7, 19)}.inr`;
  describe(object, picture, kind, facts).catch(error => { facts.textContent = error.message; });
  return el('li', {}, el('a', { href: `/view/${object.id}` }, picture, el('strong', { title: name }, name), kind, facts));
}

async function describe(object, picture, kind, facts) {
  const { info } = await askJson(`/v1/objects/${object.id}`), psnr = metric(info, 'psnr');
  kind.textContent = info.kind;
  picture.dataset.kind = info.kind;
  facts.textContent = [sizeOf(info), bytes(object.bytes), psnr === null ? null : decibels(psnr)].filter(Boolean).join(' · ');
  const sides = info.axes.map(axis => axis.n);
  if (!PICTURED.includes(info.kind) || sides.length > 3 || info.kind === 'volume' && sides.length < 2) return;
  const [height, width] = sides.slice(-2), scale = Math.min(1, SIDE / Math.max(width, height));
  const size = [width, height].map(side => Math.max(1, Math.round(side * scale)));
  picture.append(el('img', { src: `/v1/objects/${object.id}/render?size=${size}&format=png`, alt: '', loading: 'lazy', decoding: 'async', onerror: event => event.target.remove() }));
}

function message(text) {
  $('message').textContent = text;
  $('message').hidden = !text;
}

function failed(error, name = '') {
  message(name ? `${name}: ${error.message}` : error.message);
}
