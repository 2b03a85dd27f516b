// A run as an animated SVG: one file without scripts, moved by SMIL, that shows its last moment where nothing moves.

import { directionOf, groupsOf, nameOf, textOf } from "./tokens.js";

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const FONT = 16;
const LINE = 34;
const EDGE = 16;
const HOLD = 2.5;
const STYLE = `
text{font:${FONT}px system-ui,sans-serif;fill:#1b1b1b}
.ground{fill:#fff}.box{fill:none;stroke:#8a8a8a;stroke-width:1}
.pending .box{stroke:#595959;stroke-dasharray:3 3}.provisional .box{stroke:#8a5a00;stroke-dasharray:6 2;fill:#fff3d6}
.fixed .box{stroke:none}
.c0 .box{fill:#fde3d8}.c1 .box{fill:#fbeed3}.c2 .box{fill:#f3f3d5}.c3 .box{fill:#dff0dc}.c4 .box{fill:#cfe8f7}
@media (prefers-color-scheme:dark){text{fill:#eee}.ground{fill:#161616}
.pending .box{stroke:#aaa}.provisional .box{stroke:#e0b050;fill:#3a2f12}
.c0 .box{fill:#572c1d}.c1 .box{fill:#4d3a15}.c2 .box{fill:#41421a}.c3 .box{fill:#20421f}.c4 .box{fill:#173f5a}}`;

function node(name, attributes, ...children) {
  const found = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

/** The SVG of a run, as text; `pace` is steps a second. */
export function animation(run, pace = 4) {
  const measure = document.createElement("canvas").getContext("2d");
  measure.font = `${FONT}px system-ui, sans-serif`;
  const moments = Array.from({ length: run.last + 1 }, (_, frame) => new Map(run.cells(frame).map((cell) => [cell.key, cell])));
  const cells = run.cells(run.last);
  const slots = groupsOf(cells)
    .filter((places, place) => places[0] === place && !(cells[place].state === "fixed" && cells[place].text === ""))
    .map((places) => slotOf(places.map((place) => cells[place]), moments, measure));
  const height = layOut(slots, directionOf(textOf(cells)) === "rtl");
  const seconds = moments.length / pace + HOLD;
  const marks = slots.flatMap((slot) => slot.spans.map((span) => drawn(slot, span, pace, seconds)));
  const root = node("svg", { viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, role: "img" },
    node("title", {}, "A text that denoises"), node("desc", {}, clean(textOf(cells))), node("style", {}, STYLE),
    node("rect", { class: "ground", width: "100%", height: "100%", rx: 8 }), ...marks);
  return new XMLSerializer().serializeToString(root);
}

/** What stands in one place over time: spans of frames that look the same. */
function slotOf(group, moments, measure) {
  const spans = [];
  const final = textOf(group);
  moments.forEach((cells, frame) => {
    const now = group.map((cell) => cells.get(cell.key));
    const absent = now.some((cell) => !cell);
    const pending = !absent && now.some((cell) => cell.state === "pending");
    const text = absent || pending ? "" : clean(nameOf(textOf(now)));
    const state = absent ? "" : pending ? "pending" : now[0].state;
    const sure = absent || pending || now[0].confidence === undefined ? "" : ` c${Math.min(4, Math.floor(now[0].confidence * 5))}`;
    const before = spans.at(-1);
    if (before && before.text === text && before.look === state + sure) before.end = frame + 1;
    else spans.push({ start: frame, end: frame + 1, text, look: state + sure });
  });
  const widest = Math.max(...spans.map((span) => measure.measureText(span.text).width), 12);
  return { spans, width: Math.ceil(widest) + 8, gap: /^\s/.test(final) ? 5 : 1, breaks: /\n\s*$/.test(final) };
}

/** Gives every slot its place in lines; returns the height. */
function layOut(slots, mirrored) {
  let [x, y] = [EDGE, EDGE];
  for (const slot of slots) {
    if (x > EDGE && x + slot.gap + slot.width > WIDTH - EDGE) [x, y] = [EDGE, y + LINE];
    else if (x > EDGE) x += slot.gap;
    slot.x = mirrored ? WIDTH - x - slot.width : x;
    slot.y = y;
    x += slot.width;
    if (slot.breaks) [x, y] = [EDGE, y + LINE];
  }
  return y + LINE + EDGE - 6;
}

function drawn(slot, span, pace, seconds) {
  const whole = span.start === 0 && slot.spans.length === 1;
  const lasts = span === slot.spans.at(-1);
  const parts = [
    node("rect", { class: "box", x: slot.x, y: slot.y, width: slot.width, height: 26, rx: 3 }),
    node("text", { x: slot.x + slot.width / 2, y: slot.y + 19, "text-anchor": "middle" }, span.text),
  ];
  const group = node("g", { class: span.look }, ...parts);
  if (whole) return group;
  group.setAttribute("opacity", lasts ? 1 : 0);
  const begin = span.start / pace / seconds;
  const end = span.end / pace / seconds;
  const [values, times] = span.start === 0 ? [["1", "0"], [0, end]] : lasts ? [["0", "1"], [0, begin]] : [["0", "1", "0"], [0, begin, end]];
  group.append(node("animate", {
    attributeName: "opacity", calcMode: "discrete", values: values.join(";"), repeatCount: "indefinite",
    keyTimes: times.map((time) => Number(time.toFixed(5))).join(";"), dur: `${seconds.toFixed(2)}s`,
  }));
  return group;
}

/** Without characters that XML cannot hold. */
function clean(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f\ufffe\uffff]/g, (character) => String.fromCharCode(0x2400 + (character.charCodeAt(0) & 31)));
}
