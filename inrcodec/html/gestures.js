// Pointer and wheel of a canvas, as few kinds of moves, in device pixels; and its size. A module of the service too, which exports both.

/** `moves`: drag(dx, dy, aside), zoom(factor, x, y), and if it scrolls turn(steps); point(x, y) is told where the pointer rests. */
function gestures(canvas, moves) {
  const pointers = new Map();
  const at = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * (canvas.width / box.width), (event.clientY - box.top) * (canvas.height / box.height)];
  };
  const centre = () => {
    const all = [...pointers.values()], mean = k => all.reduce((sum, p) => sum + p[k], 0) / all.length;
    const spread = all.length < 2 ? 0 : Math.hypot(all[0][0] - all[1][0], all[0][1] - all[1][1]);
    return [mean(0), mean(1), spread];
  };
  canvas.addEventListener('pointerdown', event => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    canvas.classList.add('held');
  });
  canvas.addEventListener('pointermove', event => {
    if (!pointers.has(event.pointerId)) return moves.point?.(...at(event));
    const [x0, y0, spread0] = centre();
    pointers.set(event.pointerId, at(event));
    const [x, y, spread] = centre();
    moves.drag(x - x0, y - y0, event.shiftKey || pointers.size > 1);
    if (spread0 && spread) moves.zoom(spread / spread0, x, y);
  });
  const release = event => {
    pointers.delete(event.pointerId);
    if (!pointers.size) canvas.classList.remove('held');
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => moves.point?.(null, null));
  let turned = 0;
  canvas.addEventListener('wheel', event => {
    event.preventDefault();
    const lines = event.deltaY * [1, 16, 400][event.deltaMode];
    if (moves.turn && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      turned += lines / 50;
      moves.turn(Math.trunc(turned));
      turned -= Math.trunc(turned);
    } else moves.zoom(Math.exp(-lines / (event.ctrlKey ? 100 : 400)), ...at(event));
  }, { passive: false });
  canvas.addEventListener('dblclick', event => moves.zoom(2, ...at(event)));
}

/** Keeps the canvas as large as its box in device pixels; `resized` is told after every change. */
function fitted(canvas, resized) {
  const set = (width, height) => {
    if (!width || !height || canvas.width === width && canvas.height === height) return;
    canvas.width = width;
    canvas.height = height;
    resized();
  };
  const observer = new ResizeObserver(([entry]) => {
    const { width, height } = entry.contentRect, wanted = [width, height].map(edge => Math.round(edge * devicePixelRatio));
    const exact = [entry.devicePixelContentBoxSize?.[0].inlineSize, entry.devicePixelContentBoxSize?.[0].blockSize];
    set(...wanted.map((edge, k) => Math.abs(edge - exact[k]) <= 1 ? exact[k] : edge)); // emulated screens state other boxes
  });
  try {
    observer.observe(canvas, { box: 'device-pixel-content-box' });
  } catch {
    observer.observe(canvas);
  }
}
