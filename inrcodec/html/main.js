// The page: what the file is decides the viewer; controls speak to it, and it tells them where it stands.

const of = id => document.getElementById(id);
const canvas = of('view');

const decoded = id => Uint8Array.from(atob(of(id).textContent.trim()), c => c.charCodeAt(0));

const short = v => Number.isInteger(v) ? String(v) : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(3) : String(+v.toPrecision(5));
const clock = s => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, '0')}`;

function failed(error) {
  of('error').textContent = `This page cannot show its file: ${error.message}`;
  of('error').hidden = false;
  canvas.setAttribute('aria-busy', 'false');
}

// `more`: what makes one more worker, what it is to open, and how many there are.
const VIEWERS = {
  async plane(pool, head, more) {
    const { axes } = head, video = head.kind === 'video', rate = video && head.space?.spacing[0] > 0 ? 1 / head.space.spacing[0] : 10;
    let playing = 0, viewer = null;
    const name = i => axes[i].name, painter = new Painter(pool, head);
    const started = painter.start(more.begin, more.given, more.workers, () => viewer?.again());
    if (painter.asked) await started;
    viewer = new Plane(canvas, painter, head, ({ zoom, size, index }) => {
      of('scale').textContent = `${short(zoom)}× · ${size[1]} × ${size[0]}`;
      for (const slider of of('sliders').querySelectorAll('input')) {
        slider.value = index[slider.dataset.axis];
        slider.nextElementSibling.textContent = video ? clock(index[0] / rate) : `${index[slider.dataset.axis] + 1} / ${axes[slider.dataset.axis].n}`;
      }
    }, failed);
    const step = by => {
      const [axis] = viewer.others;
      if (axis !== undefined) viewer.step(axis, viewer.index[axis] + by);
    };
    const sliders = () => {
      of('sliders').replaceChildren(...viewer.others.filter(i => axes[i].n > 1).map(i => {
        const label = document.createElement('label'), slider = document.createElement('input'), output = document.createElement('output');
        Object.assign(slider, { type: 'range', min: 0, max: axes[i].n - 1, step: 1 });
        slider.setAttribute('aria-label', video ? 'time' : `${name(i)}, sample`);
        slider.dataset.axis = i;
        slider.addEventListener('input', () => viewer.step(i, +slider.value));
        label.append(video ? 'time' : name(i), slider, output);
        return label;
      }));
    };
    const pairs = axes.length < 3 || video ? [] : axes.flatMap((_, i) => axes.slice(i + 1).map((_, j) => [i, i + 1 + j])).reverse();
    of('axes').hidden = !pairs.length;
    of('axes').append(...pairs.map(([i, j]) => new Option(`${name(i)}, ${name(j)}`, `${i},${j}`)));
    of('axes').addEventListener('change', () => {
      viewer.show(of('axes').value.split(',').map(Number));
      sliders();
      viewer.step(0, viewer.index[0]);
    });
    const played = () => {
      if (!playing) return;
      if (canvas.getAttribute('aria-busy') === 'false') viewer.step(0, (viewer.index[0] + 1) % axes[0].n);
      playing = setTimeout(played, 1000 / rate);
    };
    const play = () => {
      if (playing) clearTimeout(playing);
      playing = playing ? 0 : setTimeout(played, 0);
      of('play').setAttribute('aria-pressed', String(playing !== 0));
    };
    of('play').hidden = !video;
    if (video) of('play').addEventListener('click', play);
    sliders();
    const steps = { PageUp: -1, PageDown: 1, '[': -1, ']': 1 };
    const key = pressed => {
      if (pressed in steps) step(steps[pressed]);
      else if (pressed === ' ' && video) play();
      else return false;
      return true;
    };
    return { viewer, key, turn: viewer.others.length && !video ? step : undefined, actual: () => viewer.scale(1) };
  },

  shape(pool, head) {
    const viewer = new Shape(canvas, pool, head, ({ zoom }) => { of('scale').textContent = `${short(zoom)}×`; }, failed);
    of('up').hidden = false;
    of('up').addEventListener('click', () => {
      const next = of('up').textContent === 'y up' ? 'z' : 'y';
      of('up').textContent = `${next} up`;
      viewer.up(next);
    });
    return { viewer };
  },

  line(pool, head) {
    const viewer = new Line(canvas, pool, head, ({ time, playing, ready }) => {
      of('scale').textContent = viewer.ownRate ? `${clock(time)} / ${clock(viewer.seconds)}` : `${head.axes[0].n} samples`;
      of('play').disabled = !ready;
      of('play').setAttribute('aria-pressed', String(playing));
    }, failed);
    of('play').hidden = !viewer.ownRate;
    of('zooms').hidden = true;
    of('play').addEventListener('click', () => viewer.play());
    canvas.addEventListener('click', event => viewer.seek(event.offsetX / canvas.clientWidth * viewer.seconds));
    const ways = { ArrowLeft: -1, ArrowRight: 1 };
    const key = pressed => {
      if (pressed === ' ') viewer.play();
      else if (pressed in ways) viewer.seek(viewer.time + ways[pressed]);
      else return false;
      return true;
    };
    return { viewer, key };
  },
};

// What is under the pointer: where, and what the function is there.
function reader(pool, head, viewer) {
  let asked = 0;
  const names = head.out.channels.map(channel => channel.name), axes = head.axes.map(axis => axis.name);
  return (x, y) => {
    const found = x === null ? null : viewer.under(x, y), turn = ++asked;
    pool.drop('reader');
    if (!found) {
      of('place').textContent = '';
      return;
    }
    const { index, point } = found;
    if (!index) of('place').textContent = point.map((p, k) => `${'xyz'[k]} ${short(p)}`).join('  ');
    else {
      pool.ask('values', { points: Float64Array.from(point) }, 'reader').then(({ values }) => {
        if (turn !== asked) return;
        const where = index.map((p, k) => `${axes[k]} ${p.toFixed(2)}`).join('  ');
        of('place').textContent = `${where}   ${[...values].map((v, k) => `${names[k]} ${Number.isNaN(v) ? 'missing' : short(+v.toPrecision(4))}`).join('  ')}`;
      }, failed);
    }
  };
}

async function start() {
  const bytes = decoded('file'), source = ['inr', 'worker'].map(id => of(id).textContent).join('\n');
  const given = { bytes, mask: decoded('mask') }, workers = Math.min(Math.max(navigator.hardwareConcurrency || 2, 1), 8);
  of('save').href = URL.createObjectURL(new Blob([bytes]));
  const pool = new Pool(source, workers), [{ head }] = await pool.all('open', given), more = { begin: () => new Pool(source, 1), given, workers };
  const kind = head.kind === 'shape' ? 'shape' : head.axes.length === 1 ? 'line' : 'plane';
  const { viewer, key, turn, actual } = await VIEWERS[kind](pool, head, more);
  const centred = factor => viewer.zoom(factor, canvas.width / 2, canvas.height / 2);
  const moves = {
    drag: (...way) => viewer.drag(...way),
    zoom: (...way) => viewer.zoom(...way),
    turn,
    key: pressed => key?.(pressed) || pressed === '0' && (viewer.fit(), true) || pressed === '1' && Boolean(actual) && (actual(), true),
    point: reader(pool, head, viewer),
  };
  gestures(canvas, moves);
  keys(canvas, moves);
  of('in').addEventListener('click', () => centred(STEP));
  of('out').addEventListener('click', () => centred(1 / STEP));
  of('fit').addEventListener('click', () => viewer.fit());
  of('actual').hidden = !actual;
  of('actual').addEventListener('click', () => actual());
  fitted(canvas, () => viewer.resized());
  globalThis.inrViewer = viewer;
}

start().catch(failed);
