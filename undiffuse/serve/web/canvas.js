// The text of a run at one moment, token by token. State and confidence are classes (color) and borders, marks and
// labels (without color). Text is set as text, never as HTML.

import { directionOf, groupsOf, nameOf, textOf } from "./tokens.js";

const SHADES = 5;

export class Canvas {
  /** `told(event, key, element)` is called for: hover, leave, focus, press, pin, mask, edit. */
  constructor(title, told) {
    this.told = told;
    this.run = null;
    this.frame = 0;
    this.shade = "confidence";
    this.forget();
    this.slots = new Map();
    this.element = document.createElement("article");
    this.element.className = "side";
    const heading = document.createElement("h3");
    heading.textContent = title;
    this.heading = heading;
    this.numbers = document.createElement("p");
    this.numbers.className = "numbers";
    this.tokens = document.createElement("div");
    this.tokens.className = "tokens";
    this.tokens.setAttribute("role", "group");
    this.tokens.setAttribute("aria-label", "Tokens: arrow keys move, Enter opens one, P pins, M masks again, E edits");
    [this.before, this.after] = ["span", "span"].map((name) => document.createElement(name)); // beyond what the model sees
    this.before.className = this.after.className = "beyond";
    this.note = document.createElement("p");
    this.note.className = "quiet";
    this.element.append(heading, this.numbers, this.tokens, this.note);
    this.listen();
  }

  /** Without pins, edits and masks. */
  forget() {
    this.pins = new Map(); // key of a group → its text
    this.edits = new Map(); // key → the text that stands there instead
    this.masked = new Set(); // keys that are to be open again
  }

  show(run, frame) {
    if (run !== this.run) {
      this.forget();
      this.slots.clear();
      this.tokens.replaceChildren(this.before, this.after);
    }
    this.run = run;
    this.frame = frame;
    this.draw();
  }

  /** The groups that are shown: {key, cells, places}. */
  groups() {
    const cells = this.run.cells(this.frame);
    const groups = groupsOf(cells);
    return groups
      .map((places, place) => ({ key: cells[place].key, places, first: places[0] === place }))
      .filter(({ first, places: [place] }) => first && !(cells[place].state === "fixed" && cells[place].text === ""))
      .map(({ key, places }) => ({ key, places, cells: places.map((place) => cells[place]) }));
  }

  draw() {
    const run = this.run;
    this.tokens.dir = directionOf(textOf(run.cells(this.frame)));
    const shown = [];
    const order = this.shade === "order" ? orders(run.cells(run.last)) : null;
    for (const group of this.groups()) {
      const slot = this.slots.get(group.key) || this.slot(group.key);
      this.fill(slot, group, order);
      shown.push(slot.element);
    }
    const now = [...this.tokens.children].slice(1, -1);
    if (now.length !== shown.length || now.some((element, place) => element !== shown[place])) {
      const focused = this.tokens.contains(document.activeElement) ? document.activeElement : null;
      this.tokens.replaceChildren(this.before, ...shown, this.after);
      focused?.focus();
    }
    const [before, after] = run.around();
    this.before.textContent = before;
    this.after.textContent = after;
    const reachable = [...this.tokens.querySelectorAll(".token")];
    if (reachable.length && !reachable.some((token) => token.tabIndex === 0)) reachable[0].tabIndex = 0;
    const { nfe, rate, seconds } = run.numbers();
    this.numbers.textContent =
      `${nfe} ${nfe === 1 ? "evaluation" : "evaluations"} (NFE) · ${rate === null ? "–" : rate.toFixed(2)} tokens per forward · ${seconds.toFixed(2)}\u00a0s`;
    const strategy = run.result?.strategy || run.strategy || "as the model has it";
    this.heading.textContent = `Strategy: ${strategy}`;
    this.note.textContent = run.result?.note || "";
  }

  slot(key) {
    const element = document.createElement("span");
    element.className = "slot";
    const token = document.createElement("span");
    token.setAttribute("role", "button");
    token.dir = "auto";
    token.tabIndex = -1;
    token.dataset.key = key;
    const slot = { element, token, before: new Text(""), after: new Text(""), said: "" };
    element.append(slot.before, token, slot.after);
    this.slots.set(key, slot);
    return slot;
  }

  fill(slot, group, order) {
    const [first] = group.cells;
    const pending = group.cells.some((cell) => cell.state === "pending");
    const pinned = this.pins.has(group.key);
    const edited = this.edits.has(group.key);
    const masked = this.masked.has(group.key);
    const text = edited ? this.edits.get(group.key) : pinned ? this.pins.get(group.key) : pending ? "" : textOf(group.cells);
    const open = masked || (pending && !pinned && !edited);
    const name = open ? "" : nameOf(text);
    const confidence = first.confidence === undefined ? null : Math.min(...group.cells.map((cell) => cell.confidence ?? 1));
    const state = open ? "pending" : pending ? "committed" : first.state;
    const plain = state === "fixed" && text.trim() === "" && !edited; // white space that was given stays what it is
    const classes = ["token", state];
    if (pinned) classes.push("pinned");
    if (edited) classes.push("edited");
    if (masked) classes.push("masked");
    if (first.old) classes.push("old");
    if (!open && first.changes) classes.push("changed");
    let mark = "";
    if (order) {
      const place = order.ranks.get(first.decided);
      if (place !== undefined && !open) {
        classes.push(`o${Math.min(SHADES - 1, Math.floor((place * SHADES) / order.count))}`);
        mark = String(place + 1);
      }
    } else if (confidence !== null && !open) {
      classes.push(`c${Math.min(SHADES - 1, Math.floor(confidence * SHADES))}`);
    }
    const label = [open ? "open" : name, masked ? "masked again" : pinned ? "pinned" : edited ? "edited" : state === "pending" ? "" : state];
    if (confidence !== null && !open && !edited) label.push(`${percent(confidence)} sure`);
    if (mark) label.push(`decision ${mark}`);
    if (!open && first.changes) label.push(`changed ${times(first.changes)}`);
    const said = label.filter(Boolean).join(", ");
    const signature = [said, classes.join(" "), text].join("\n");
    if (slot.said === signature) return;
    slot.said = signature;
    slot.token.className = classes.join(" ");
    slot.token.textContent = open ? "\u2003\u2002" : plain ? text : name;
    slot.token.setAttribute("aria-label", said);
    if (mark) slot.token.dataset.mark = mark;
    else delete slot.token.dataset.mark;
    const spaced = masked ? textOf(group.cells) : text;
    const blank = spaced.trim() === "";
    slot.before.data = blank ? "" : spaced.match(/^\s*/)[0];
    slot.after.data = blank ? (spaced.includes("\n") && !plain ? "\n" : "") : spaced.match(/\s*$/)[0];
  }

  listen() {
    const keyOf = (event) => event.target.closest?.(".token");
    const tell = (name) => (event) => {
      const token = keyOf(event);
      if (token) this.told(name, this, token.dataset.key, token, event);
    };
    this.tokens.addEventListener("pointerover", (event) => event.pointerType !== "touch" && tell("hover")(event));
    this.tokens.addEventListener("pointerout", tell("leave"));
    this.tokens.addEventListener("focusin", (event) => {
      const token = keyOf(event);
      if (!token) return;
      for (const other of this.tokens.querySelectorAll('.token[tabindex="0"]')) other.tabIndex = -1;
      token.tabIndex = 0;
      tell("focus")(event);
    });
    this.tokens.addEventListener("click", tell("press"));
    this.tokens.addEventListener("keydown", (event) => {
      const token = keyOf(event);
      if (!token || event.ctrlKey || event.metaKey || event.altKey) return;
      const all = [...this.tokens.querySelectorAll(".token")];
      const turn = getComputedStyle(this.tokens).direction === "rtl" ? -1 : 1;
      const step = { ArrowRight: turn, ArrowLeft: -turn, ArrowDown: 1, ArrowUp: -1 }[event.key];
      const go = { Home: all[0], End: all.at(-1) }[event.key] || (step && all[all.indexOf(token) + step]);
      const names = { Enter: "open", " ": "open", p: "pin", P: "pin", m: "mask", M: "mask", e: "edit", E: "edit" };
      if (go) go.focus();
      else if (names[event.key]) tell(names[event.key])(event);
      else return;
      event.preventDefault();
    });
  }
}

/** The frames in which something was decided, from first to last, as ranks. */
export function orders(cells) {
  const frames = [...new Set(cells.map((cell) => cell.decided).filter((frame) => frame !== null))].sort((a, b) => a - b);
  return { ranks: new Map(frames.map((frame, rank) => [frame, rank])), count: frames.length };
}

export function percent(share) {
  const points = 100 * share;
  if (points < 0.1 && points > 0) return "< 0.1\u00a0%";
  return `${points >= 9.95 || points === 0 ? Math.round(points) : points.toFixed(1)}\u00a0%`;
}

export function times(count) {
  return count === 1 ? "once" : `${count} times`;
}
