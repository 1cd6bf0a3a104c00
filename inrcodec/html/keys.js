// Keys of a page as moves of its canvas.

const STEP = 1.25;

/** `moves` as of gestures; key(name) is asked first. */
function keys(canvas, moves) {
  // Keys are the page's, but for those that an element in focus has of its own.
  document.addEventListener('keydown', event => {
    const own = event.target.matches('input, select') || event.target.matches('button, a, summary') && [' ', 'Enter'].includes(event.key);
    if (!own && !event.ctrlKey && !event.metaKey && !event.altKey && pressed(event.key)) event.preventDefault();
  });
  const pressed = key => {
    if (moves.key?.(key)) return true;
    const x = canvas.width / 2, y = canvas.height / 2, far = Math.min(x, y) / 4;
    const way = { ArrowLeft: [far, 0], ArrowRight: [-far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] }[key];
    if (way) moves.drag(...way);
    else if ('+='.includes(key)) moves.zoom(STEP, x, y);
    else if ('-_'.includes(key)) moves.zoom(1 / STEP, x, y);
    else return false;
    return true;
  };
}
