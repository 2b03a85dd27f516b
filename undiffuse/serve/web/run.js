// A run: what was asked, and everything that the server told about it, in order. Any moment of it can be shown again.

import { textOf } from "./tokens.js";

export const FORMAT = "undiffuse-run";

export class Run {
  /** `setting` is what was asked, `strategy` the one of this run, `given` the text (or prompt) it began from. */
  constructor(setting, strategy, given) {
    Object.assign(this, { setting, strategy, given });
    this.frames = []; // {at, step, nfe, pending, part, begins, patches}
    this.result = null;
    this.seconds = 0;
    this.began = performance.now();
    this.moments = []; // of every frame its cells, made when they are first asked for
  }

  /** A step as it was told. Of several rows the first is shown. */
  add(told) {
    const patches = told.patches.filter((patch) => patch.row === 0);
    const { step, nfe, pending, part, begins } = told;
    const at = (performance.now() - this.began) / 1000;
    if (begins && patches.some((patch) => "confidence" in patch)) {
      // the first that is told may have decisions already: show the open text before them
      const open = patches.map((patch) => ("confidence" in patch ? { row: 0, position: patch.position, state: "pending" } : patch));
      const count = open.filter((patch) => patch.state === "pending").length;
      this.frames.push({ at, step: 0, nfe: 0, pending: count, part, begins, patches: open });
      this.frames.push({ at, step, nfe, pending, part, begins: false, patches });
    } else {
      this.frames.push({ at, step, nfe, pending, part, begins, patches });
    }
  }

  finish(result) {
    this.result = result;
    this.seconds = (performance.now() - this.began) / 1000;
  }

  get last() {
    return Math.max(this.frames.length - 1, 0);
  }

  get done() {
    return this.result !== null;
  }

  /** The cells of a moment: {key, state, id, text, confidence, decided, changes}. `decided` is the frame it was. */
  cells(frame) {
    const wanted = Math.min(frame, this.frames.length - 1);
    for (let number = this.moments.length; number <= wanted; number++) {
      this.moments.push(next(this.moments[number - 1] || [], this.frames[number], number));
    }
    return wanted < 0 ? [] : this.moments[wanted];
  }

  /** The text before and after what the model saw, where the whole is longer. */
  around() {
    const whole = this.result?.text;
    if (typeof whole !== "string" || this.setting.task === "chat") return ["", ""];
    this.beyond ??= beyond(whole, textOf(this.cells(this.last)));
    return this.beyond;
  }

  /** Tokens that were written, evaluations, tokens for each of them, and seconds. */
  numbers() {
    const written = this.cells(this.last).filter((cell) => cell.decided !== null && cell.state !== "pending").length;
    const nfe = this.result?.nfe ?? this.frames.at(-1)?.nfe ?? 0;
    const rate = this.result?.tokens_per_forward ?? (nfe ? written / nfe : null);
    return { written, nfe, rate, seconds: this.done ? this.seconds : this.frames.at(-1)?.at ?? 0 };
  }

  json() {
    const { setting, strategy, given, frames, result, seconds } = this;
    return { format: FORMAT, version: 1, setting, strategy, given, frames, result, seconds };
  }

  /** Error for what is no run. */
  static of(data) {
    if (data === null || typeof data !== "object" || data.format !== FORMAT) throw new Error("This file is no run that was saved here.");
    if (data.version !== 1) throw new Error(`This run has version ${data.version}, and this page reads version 1.`);
    const sound = Array.isArray(data.frames) && data.frames.every((frame) => Array.isArray(frame.patches) &&
      frame.patches.every((patch) => Number.isInteger(patch.position) && ["fixed", "pending", "provisional", "committed"].includes(patch.state) &&
        (patch.text === undefined || typeof patch.text === "string")));
    if (!sound || data.frames.length === 0) throw new Error("The steps of this run cannot be read.");
    const run = new Run(data.setting || {}, String(data.strategy || ""), String(data.given || ""));
    run.frames = data.frames;
    run.result = data.result || {};
    run.seconds = Number(data.seconds) || 0;
    return run;
  }
}

/** The cells after a frame. A part that begins keeps what came before it, less what it repeats. */
function next(before, frame, number) {
  let cells = before;
  if (frame.begins) {
    const kept = before.filter((cell) => cell.state !== "pending").map((cell) => ({ ...cell, old: true }));
    const fixed = frame.patches.filter((patch) => patch.state === "fixed").map((patch) => patch.id);
    cells = kept.slice(0, kept.length - overlap(kept.map((cell) => cell.id), fixed));
  } else {
    cells = before.slice();
  }
  const places = new Map(cells.map((cell, place) => [cell.key, place]));
  for (const patch of frame.patches) {
    const key = `${frame.part}:${patch.position}`;
    const place = places.get(key);
    const was = place === undefined ? null : cells[place];
    const written = patch.state === "committed" || patch.state === "provisional";
    const changed = written && was !== null && was.decided !== null && was.text !== undefined && was.id !== patch.id;
    const cell = {
      key, state: patch.state, id: patch.id, text: patch.text, confidence: patch.confidence,
      decided: !written ? null : was !== null && was.id === patch.id && was.decided !== null ? was.decided : number,
      changes: (was?.changes ?? 0) + (changed || (was?.decided != null && !written) ? 1 : 0),
    };
    if (place === undefined) {
      places.set(key, cells.length);
      cells.push(cell);
    } else {
      cells[place] = cell;
    }
  }
  return cells;
}

function beyond(whole, seen) {
  for (const text of [seen, seen.replace(/^ /, "")]) {
    const at = text ? whole.indexOf(text) : -1;
    if (at >= 0) return [whole.slice(0, at), whole.slice(at + text.length)];
  }
  return ["", ""];
}

/** How many of the last ids stand at the beginning of the others. */
function overlap(ids, others) {
  for (let size = Math.min(ids.length, others.length); size > 0; size--) {
    if (others.slice(0, size).every((id, place) => id === ids[ids.length - size + place])) return size;
  }
  return 0;
}
