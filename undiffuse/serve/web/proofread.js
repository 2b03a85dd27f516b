// Proofreading: words that stand out, and what could stand there instead. One click accepts a proposal.

import { percent } from "./canvas.js";

export class Proof {
  /** `changed(text)` is called with the text after a proposal was accepted. */
  constructor(changed) {
    this.changed = changed;
    this.section = document.getElementById("proof");
    this.text = "";
    this.findings = [];
  }

  /** An answer of /v1/check; its places are characters of Unicode, and here they become those of strings. */
  show(text, answer) {
    const places = [0];
    for (const character of text) places.push(places.at(-1) + character.length);
    this.text = text;
    this.findings = answer.findings.map((each) => ({ ...each, start: places[each.start], end: places[each.end] }));
    const count = this.findings.length;
    const words = count === 1 ? "One word stands out" : `${count || "No"} words stand out`;
    this.summary = `${words} of ${answer.words}, by more than ${answer.threshold} bits.`;
    this.section.hidden = false;
    this.draw();
  }

  draw() {
    document.getElementById("proof-summary").textContent = this.summary;
    const shown = document.getElementById("proof-text");
    const inOrder = [...this.findings].sort((one, other) => one.start - other.start);
    let end = 0;
    const pieces = [];
    for (const finding of inOrder) {
      pieces.push(this.text.slice(end, finding.start));
      const found = this.text.slice(finding.start, finding.end);
      const mark = document.createElement("mark");
      const [, before, word, after] = found.match(/^(\s*?)(\S.*?|\s*)(\s*)$/s);
      mark.textContent = word;
      pieces.push(before, mark, after);
      end = Math.max(end, finding.end);
    }
    shown.replaceChildren(...pieces, this.text.slice(end));
    document.getElementById("findings").replaceChildren(...this.findings.map((finding) => this.item(finding)));
  }

  item(finding) {
    const item = document.createElement("li");
    const word = document.createElement("bdi");
    word.className = "found";
    word.textContent = finding.text.trim();
    item.append(word, ` line ${finding.line}, ${finding.surprise.toFixed(1)} bits; rather `);
    for (const proposal of finding.proposals) {
      const button = document.createElement("button");
      button.type = "button";
      const other = document.createElement("bdi");
      other.textContent = proposal.text.trim() || "␣";
      button.append(other, ` ${percent(proposal.probability)}`);
      button.setAttribute("aria-label", `Replace ${finding.text.trim()} by ${proposal.text.trim()}, ${percent(proposal.probability)}`);
      button.addEventListener("click", () => this.accept(finding, proposal.text));
      item.append(button, " ");
    }
    return item;
  }

  accept(finding, text) {
    this.text = this.text.slice(0, finding.start) + text + this.text.slice(finding.end);
    const shift = text.length - (finding.end - finding.start);
    const apart = this.findings.filter((each) => each !== finding && (each.end <= finding.start || each.start >= finding.end));
    this.findings = apart.map((each) => each.start >= finding.end ? { ...each, start: each.start + shift, end: each.end + shift } : each);
    this.summary = `Replaced ${finding.text.trim()} by ${text.trim()}. ${this.findings.length} left; proofread again, since words count on each other.`;
    this.draw();
    document.querySelector("#findings button")?.focus();
    this.changed(this.text);
  }

  hide() {
    this.section.hidden = true;
  }
}
