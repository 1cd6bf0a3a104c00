// A signal of one axis as a curve; sound can be heard.

const PART = 16384, HEARD = [8000, 96000, 48000]; // samples decoded at once; rates that browsers play, and the one in place of others

class Line {
  #canvas;
  #context;
  #pool;
  #told;
  #failed;
  #head;
  #channels;
  #count;
  #known;
  #player = null;
  #source = null;
  #start = 0;
  #offset = 0;
  #frame = 0;
  #drawn = null;

  constructor(canvas, pool, head, told, failed) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { colorSpace: 'srgb' });
    this.#pool = pool;
    this.#told = told;
    this.#failed = failed;
    this.#head = head;
    const own = this.ownRate, [least, most, other] = HEARD;
    this.rate = own >= least && own <= most ? own : other;
    this.#count = own ? Math.max(1, Math.round(head.axes[0].n * this.rate / own)) : head.axes[0].n;
    this.#channels = head.out.channels.map(() => new Float32Array(this.#count));
    this.#known = new Uint8Array(Math.ceil(this.#count / PART));
    this.#decode();
  }

  /** Samples a second; 0 where the file says none. */
  get ownRate() {
    const [spacing] = this.#head.space?.spacing ?? [0];
    return this.#head.kind === 'audio' && spacing > 0 ? 1 / spacing : 0;
  }

  get seconds() {
    return this.#count / this.rate;
  }

  get playing() {
    return this.#source !== null;
  }

  /** Seconds from the start. */
  get time() {
    return this.playing ? this.#offset + this.#player.currentTime - this.#start : this.#offset;
  }

  /** What is heard, one Float32Array a channel. */
  get samples() {
    return this.#channels;
  }

  resized() {
    this.#draw();
  }

  fit() {
    this.seek(0);
  }

  drag() {}

  zoom() {}

  seek(seconds) {
    const playing = this.playing;
    this.#stop();
    this.#offset = Math.min(Math.max(seconds, 0), this.seconds);
    if (playing) this.play();
    this.#draw();
  }

  /** Plays, or pauses. */
  async play() {
    if (this.playing) {
      this.#offset = this.time;
      this.#stop();
    } else if (this.#known.every(Boolean)) {
      this.#player ??= new AudioContext();
      await this.#player.resume();
      const buffer = this.#player.createBuffer(this.#channels.length, this.#count, this.rate);
      this.#channels.forEach((samples, k) => buffer.copyToChannel(samples, k));
      if (this.#offset >= this.seconds - 0.01) this.#offset = 0;
      const source = this.#player.createBufferSource();
      source.buffer = buffer;
      source.connect(this.#player.destination);
      source.onended = () => {
        if (this.#source !== source) return;
        this.#stop();
        this.#offset = this.seconds;
        this.#draw();
      };
      source.start(0, this.#offset);
      this.#start = this.#player.currentTime;
      this.#source = source;
    }
    this.#draw();
  }

  under(x) {
    const { axes: [{ lo = -1, hi = 1, n }] } = this.#head, q = x / this.#canvas.width;
    return q >= 0 && q < 1 ? { index: [q * n], point: [lo + q * (hi - lo)] } : null;
  }

  #stop() {
    const source = this.#source;
    this.#source = null;
    source?.stop();
  }

  #decode() {
    const { axes: [{ n }], out: { channels, dtype } } = this.#head, c = channels.length;
    const [, bits] = /^u?int(\d+)$/.exec(dtype) ?? [], full = bits ? 2 ** (bits - 1) : 1;
    this.#canvas.setAttribute('aria-busy', 'true');
    for (let part = 0; part < this.#known.length; part++) {
      const first = part * PART, region = [[first / this.#count * n, Math.min((first + PART) / this.#count * n, n)]];
      this.#pool.ask('numbers', { size: [this.#count], region }, this).then(({ values }) => {
        for (let i = 0; i < values.length; i++) this.#channels[i % c][first + Math.floor(i / c)] = values[i] / full;
        this.#known[part] = 1;
        if (this.#known.every(Boolean)) this.#canvas.setAttribute('aria-busy', 'false');
        this.#draw();
      }, this.#failed);
    }
  }

  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
      this.#told({ time: this.time, playing: this.playing, ready: this.#known.every(Boolean) });
      if (this.playing) this.#draw();
    });
  }

  #paint() {
    const { width, height } = this.#canvas, context = this.#context, style = getComputedStyle(this.#canvas), now = this.time / this.seconds * width;
    const key = [width, height, this.#known.join(''), style.getPropertyValue('--curve')].join();
    if (this.#drawn?.key !== key) this.#drawn = { key, ...this.#curves(width, height, style) };
    const played = this.ownRate ? Math.min(Math.max(Math.round(now), 0), width) : 0;
    context.clearRect(0, 0, width, height);
    context.drawImage(this.#drawn.rest, 0, 0);
    if (played) context.drawImage(this.#drawn.played, 0, 0, played, height, 0, 0, played, height);
    context.fillStyle = style.getPropertyValue('--accent');
    if (this.ownRate) context.fillRect(now - devicePixelRatio, 0, 2 * devicePixelRatio, height);
  }

  // Least and greatest sample of every column, in two colours.
  #curves(width, height, style) {
    const [least, most] = this.#range(), row = height / this.#channels.length, base = Math.min(Math.max(0, least), most);
    const [rest, played] = ['--curve', '--accent'].map(color => {
      const copy = new OffscreenCanvas(width, height), context = copy.getContext('2d');
      this.#channels.forEach((samples, k) => {
        const y = v => row * k + row * (0.06 + 0.88 * (most - v) / (most - least || 1));
        context.fillStyle = style.getPropertyValue('--line');
        context.fillRect(0, y(base), width, devicePixelRatio);
        context.fillStyle = style.getPropertyValue(color);
        for (let x = 0; x < width; x++) {
          const from = Math.floor(x * this.#count / width), to = Math.max(from + 1, Math.floor((x + 1) * this.#count / width));
          if (!this.#known[Math.floor(from / PART)]) continue;
          let low = Infinity, high = -Infinity;
          for (let i = Math.max(0, from - 1); i < to; i++) {
            if (samples[i] < low) low = samples[i];
            if (samples[i] > high) high = samples[i];
          }
          if (high >= low) context.fillRect(x, y(high), 1, Math.max(y(low) - y(high), devicePixelRatio));
        }
      });
      return copy;
    });
    return { rest, played };
  }

  #range() {
    const all = this.#channels.flatMap(samples => samples.reduce(([a, b], v) => [v < a ? v : a, v > b ? v : b], [Infinity, -Infinity]));
    const [least, most] = [Math.min(...all), Math.max(...all)], far = Math.max(Math.abs(least), Math.abs(most));
    return this.ownRate ? [-far, far] : [least, most];
  }
}
