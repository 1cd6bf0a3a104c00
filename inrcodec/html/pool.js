// Workers that decode, and the jobs that wait for them. A job that is not wanted any more never starts; those that run are short.

class Pool {
  #workers;
  #idle;
  #waiting = [];
  #running = new Map();
  #id = 0;

  constructor(source, count) {
    const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    this.#workers = Array.from({ length: count }, () => new Worker(url));
    this.#idle = [...this.#workers];
    for (const worker of this.#workers) {
      worker.onmessage = ({ data: { id, error, ...found } }) => {
        const { resolve, reject, job } = this.#running.get(id);
        this.#running.delete(id);
        if (job) this.#idle.push(worker);
        this.#next();
        if (error === undefined) resolve(found);
        else reject(new Error(error));
      };
      worker.onerror = event => {
        for (const { reject } of this.#running.values()) reject(new Error(event.message));
      };
    }
  }

  /** To every worker, behind what it does already: the answers. */
  all(op, given) {
    return Promise.all(this.#workers.map(worker => this.#send(worker, op, given, false)));
  }

  /** The answer of one worker. `owner`: what `drop` takes jobs back by. */
  ask(op, given, owner) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ op, given, owner, resolve, reject });
      this.#next();
    });
  }

  drop(owner) {
    this.#waiting = this.#waiting.filter(job => job.owner !== owner);
  }

  end() {
    this.#waiting = [];
    for (const worker of this.#workers) worker.terminate();
  }

  #send(worker, op, given, job) {
    return new Promise((resolve, reject) => {
      const id = ++this.#id;
      this.#running.set(id, { resolve, reject, job });
      worker.postMessage({ id, op, ...given });
    });
  }

  #next() {
    while (this.#idle.length && this.#waiting.length) {
      const { op, given, resolve, reject } = this.#waiting.shift();
      this.#send(this.#idle.pop(), op, given, true).then(resolve, reject);
    }
  }
}
