// What is known of one token, and what one may do with it. It stands beside the token, or at the foot of a phone.

import { percent, times } from "./canvas.js";
import { nameOf, textOf } from "./tokens.js";

const SOON = 200;
const phone = matchMedia("(max-width: 40rem)");

export class Card {
  /** `alternatives(canvas, group)` gives a promise of [{text, probability}], `changed()` is called after each act. */
  constructor(alternatives, changed) {
    this.alternatives = alternatives;
    this.changed = changed;
    this.element = document.getElementById("card");
    this.held = false;
    this.timer = 0;
    this.shown = null;
    this.pressed = false; // the click that ends a press opens the card: what moves before it would be clicked instead
    document.addEventListener("pointerdown", () => { this.pressed = true; }, true);
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { this.pressed = false; }, true);
    this.element.addEventListener("pointerenter", () => clearTimeout(this.timer));
    this.element.addEventListener("pointerleave", () => !this.held && this.closeSoon());
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.close(true));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.shown && this.close(this.element.contains(document.activeElement)));
    document.addEventListener("focusin", (event) => {
      if (this.shown && !this.element.contains(event.target) && !event.target.closest?.(".tokens")) this.close(false);
    });
    document.addEventListener("pointerdown", (event) => {
      if (this.shown && !this.element.contains(event.target) && !event.target.closest?.(".token")) this.close(false);
    });
  }

  /** What a canvas tells. */
  told(name, canvas, key, token) {
    const group = canvas.groups().find((each) => each.key === key);
    if (!group) return;
    clearTimeout(this.timer);
    if (name === "hover") {
      // at the foot of a phone it could lie over the token
      if (!this.held && !phone.matches) this.timer = setTimeout(() => this.pressed || this.open(canvas, group, token), SOON);
    } else if (name === "leave") {
      if (!this.held) this.closeSoon();
    } else if (name === "focus") {
      if (!this.pressed) this.open(canvas, group, token);
    } else if (name === "press") {
      this.open(canvas, group, token);
      this.held = true;
    } else if (name === "open") {
      this.open(canvas, group, token);
      this.held = true;
      this.element.querySelector("button")?.focus();
    } else if (name === "pin") {
      this.pin(canvas, group);
    } else if (name === "mask") {
      this.mask(canvas, group);
    } else if (name === "edit") {
      this.open(canvas, group, token);
      this.held = true;
      this.element.querySelector("input")?.focus();
    }
  }

  closeSoon() {
    this.timer = setTimeout(() => this.close(false), 2 * SOON);
  }

  close(back) {
    clearTimeout(this.timer);
    const token = this.shown?.token;
    this.element.hidden = true;
    this.held = false;
    this.shown = null;
    if (back && token?.isConnected) {
      token.focus();
      this.element.hidden = true;
      this.shown = null;
    }
  }

  pin(canvas, group) {
    const text = this.textNow(canvas, group);
    if (canvas.pins.has(group.key)) canvas.pins.delete(group.key);
    else if (text !== null) {
      canvas.pins.set(group.key, text);
      canvas.masked.delete(group.key);
    }
    this.acted(canvas, group);
  }

  mask(canvas, group) {
    if (canvas.masked.has(group.key)) canvas.masked.delete(group.key);
    else {
      canvas.masked.add(group.key);
      canvas.pins.delete(group.key);
      canvas.edits.delete(group.key);
    }
    this.acted(canvas, group);
  }

  edit(canvas, group, text) {
    const lead = /^\s/.test(textOf(group.cells)) && !/^\s/.test(text) ? " " : "";
    canvas.edits.set(group.key, lead + text);
    canvas.masked.delete(group.key);
    canvas.pins.delete(group.key);
    this.acted(canvas, group);
  }

  acted(canvas, group) {
    canvas.draw();
    this.changed(canvas);
    if (this.shown?.group.key === group.key) {
      const inside = this.element.contains(document.activeElement) ? document.activeElement.dataset.act : null;
      this.fill(canvas, canvas.groups().find((each) => each.key === group.key) || group);
      this.element.querySelector(`[data-act="${inside ?? "none"}"]`)?.focus();
    }
  }

  /** The text that stands there now, or null where none does. */
  textNow(canvas, group) {
    if (canvas.edits.has(group.key)) return canvas.edits.get(group.key);
    return group.cells.some((cell) => cell.state === "pending") ? null : textOf(group.cells);
  }

  open(canvas, group, token) {
    clearTimeout(this.timer);
    if (this.shown?.token === token && !this.element.hidden) return;
    this.held = false;
    this.shown = { canvas, group, token };
    this.fill(canvas, group);
    this.element.hidden = false;
    if (phone.matches) token.scrollIntoView({ block: "start" }); // above the card
    const place = token.getBoundingClientRect();
    const own = this.element.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    const below = place.bottom + own.height + 8 < innerHeight || place.top < own.height + 8;
    this.element.style.setProperty("--x", `${Math.max(8, Math.min(place.left, room - own.width - 8)) + scrollX}px`);
    this.element.style.setProperty("--y", `${(below ? place.bottom + 4 : place.top - own.height - 4) + scrollY}px`);
  }

  fill(canvas, group) {
    const text = this.textNow(canvas, group);
    const [first] = group.cells;
    const title = document.createElement("p");
    title.className = "card-title";
    title.dir = "auto";
    title.textContent = text === null ? "open" : nameOf(text);
    const facts = [first.state];
    if (first.confidence !== undefined) facts.push(`${percent(first.confidence)} sure when it was decided`);
    if (first.decided !== null) facts.push(`in step ${first.decided}`);
    if (first.changes) facts.push(`changed ${times(first.changes)}`);
    if (group.places.length > 1) facts.push(`a character of ${group.places.length} tokens`);
    const about = document.createElement("p");
    about.textContent = facts.join(" · ");
    const acts = document.createElement("div");
    acts.className = "row";
    acts.append(
      act("pin", canvas.pins.has(group.key) ? "Unpin" : "Pin", () => this.pin(canvas, group), text === null),
      act("mask", canvas.masked.has(group.key) ? "Keep" : "Re-mask", () => this.mask(canvas, group), false),
    );
    const form = document.createElement("form");
    form.className = "row";
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.value = (text ?? "").trim();
    input.dir = "auto";
    input.dataset.act = "edit";
    label.append("Text ", input);
    const button = act("change", "Change", () => {}, false);
    button.type = "submit";
    form.append(label, button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value) this.edit(canvas, group, input.value);
    });
    const others = document.createElement("div");
    this.element.replaceChildren(title, about, acts, form, others);
    this.tell(canvas, group, others);
  }

  async tell(canvas, group, place) {
    const note = document.createElement("p");
    note.className = "quiet";
    note.textContent = "Asking what else could stand here …";
    place.replaceChildren(note);
    let found;
    try {
      found = await this.alternatives(canvas, group);
    } catch (error) {
      note.textContent = error.message;
      return;
    }
    const heading = document.createElement("p");
    heading.textContent = "Given all the rest of the text:";
    const list = document.createElement("ol");
    list.className = "alternatives";
    for (const { text, probability } of found) {
      const item = document.createElement("li");
      const choose = act("alternative", "", () => this.edit(canvas, group, text), false);
      const word = document.createElement("bdi");
      word.textContent = nameOf(text);
      const bar = document.createElement("meter");
      bar.value = probability;
      bar.setAttribute("aria-hidden", "true");
      choose.append(word, bar, ` ${percent(probability)}`);
      item.append(choose);
      list.append(item);
    }
    place.replaceChildren(heading, list);
  }
}

function act(name, text, done, disabled) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.dataset.act = name;
  button.disabled = disabled;
  button.addEventListener("click", done);
  return button;
}
