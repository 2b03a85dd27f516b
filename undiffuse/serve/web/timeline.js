// Which moment is shown: the slider, playing at any speed, and following a run while it is written.

const SPEEDS = [[1, "1 step a second"], [2, "2 steps a second"], [4, "4 steps a second"], [10, "10 steps a second"], [30, "30 steps a second"], [0, "as it ran"]];

export class Timeline {
  /** `moved(frame)` is called for every moment that is to be shown. */
  constructor(moved) {
    this.moved = moved;
    this.runs = [];
    this.timer = 0;
    this.scrub = document.getElementById("scrub");
    this.button = document.getElementById("play");
    this.at = document.getElementById("at");
    this.speed = document.getElementById("speed");
    for (const [value, name] of SPEEDS) this.speed.add(new Option(name, value, value === 4, value === 4));
    this.scrub.addEventListener("input", () => {
      this.pause();
      this.go(Number(this.scrub.value));
    });
    this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
  }

  get last() {
    return Math.max(0, ...this.runs.map((run) => run.last));
  }

  get frame() {
    return Number(this.scrub.value);
  }

  /** Show these runs, from their end. */
  take(runs) {
    this.pause();
    this.runs = runs;
    this.go(this.last);
  }

  /** A run has more: follow it, unless someone looks at an earlier moment. */
  grown() {
    const follows = this.frame >= Number(this.scrub.max) && !this.timer;
    if (follows) this.go(this.last);
    else this.scrub.max = this.last;
  }

  go(frame) {
    this.scrub.max = this.last;
    this.scrub.value = Math.min(frame, this.last);
    const run = this.runs.reduce((one, other) => (other.last > one.last ? other : one), this.runs[0]);
    const told = run?.frames[Math.min(this.frame, run.last)];
    const text = told ? `step ${this.frame} of ${this.last}, ${told.pending} open` : "";
    this.at.textContent = text;
    this.scrub.setAttribute("aria-valuetext", text);
    this.moved(this.frame);
  }

  play() {
    if (this.frame >= this.last) this.go(0);
    this.button.textContent = "⏸";
    this.button.setAttribute("aria-label", "Pause");
    const step = () => {
      if (this.frame >= this.last) return this.pause();
      this.timer = setTimeout(() => {
        this.go(this.frame + 1);
        step();
      }, this.wait());
    };
    step();
  }

  /** Milliseconds until the next moment. */
  wait() {
    const speed = Number(this.speed.value);
    if (speed) return 1000 / speed;
    const [run] = this.runs.filter((each) => each.last > this.frame);
    return 1000 * Math.max(0.01, run.frames[this.frame + 1].at - run.frames[this.frame].at);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.button.textContent = "▶";
    this.button.setAttribute("aria-label", "Play");
  }
}
