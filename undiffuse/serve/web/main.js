// The page: a setting, what is asked of the server, and the runs that are shown.

import { animation } from "./animation.js";
import { ask, stream, useKey } from "./api.js";
import { Canvas } from "./canvas.js";
import { Card } from "./card.js";
import { read, save } from "./files.js";
import { watchHealth } from "./health.js";
import { holesMenu } from "./holes.js";
import * as menus from "./menus.js";
import { Proof } from "./proofread.js";
import { Run } from "./run.js";
import { CHOICES, FIRST, NUMBERS, commonOf, fromHash, toHash } from "./state.js";
import { Timeline } from "./timeline.js";
import { groupsOf, segmentsOf, textOf } from "./tokens.js";

const $ = (id) => document.getElementById(id);
const WORDS = {
  fill: ["Text with blanks", "Denoise"], generate: ["Text to continue", "Denoise"],
  chat: ["Your message", "Send"], check: ["Text to proofread", "Proofread"],
};
const EXAMPLES = { fill: "The [MASK] of it is ____.", generate: "", chat: "", check: "" };

let setting = fromHash(location.hash) || { ...FIRST, text: EXAMPLES.fill };
let capable = null; // what the chosen model accepts; null while nobody knows
let messages = []; // of the conversation
let running = null; // the AbortController of what is being asked
let runs = []; // that are shown, two when they are compared
let earlier = []; // runs that were shown before
let active = 0; // the side that was last touched
let canvases = [];
const card = new Card(alternatives, marked);
const timeline = new Timeline(draw);
const proof = new Proof((text) => {
  $("text").value = text;
  changed();
});

// ---- errors, in one place ----

function fail(error) {
  if (error.name === "AbortError") return;
  $("error-text").textContent = error.message;
  $("key-form").hidden = error.status !== 401;
  $("error").hidden = false;
  if (error.status === 0) look();
}

function clear() {
  $("error").hidden = true;
}

// ---- the setting, on the page and in the address ----

/** Writes the setting into the page. */
function present() {
  document.querySelector(`input[name="task"][value="${setting.task}"]`).checked = true;
  $("text").value = setting.text;
  for (const name of [...NUMBERS, "options", "shade"]) $(name).value = setting[name];
  $("compare").checked = setting.compare;
  $("more").open = ["strategy", "compare", "steps", "length", "block_length", "temperature", "options"].some((name) => setting[name] !== FIRST[name]);
  menus.strategies($("strategy"), capable, setting.strategy);
  menus.strategies($("strategy2"), capable, setting.strategy2);
  menus.caches($("cache"), capable, setting.cache);
  menus.tasks(capable);
  arrange();
}

/** Reads the setting from the page. */
function changed() {
  setting.task = document.querySelector('input[name="task"]:checked').value;
  setting.text = $("text").value;
  for (const name of [...NUMBERS, ...CHOICES, "shade", "model"]) setting[name] = $(name).value;
  setting.compare = $("compare").checked;
  arrange();
  remember();
}

function remember() {
  const hash = toHash(setting);
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

/** What belongs to the task is shown. */
function arrange() {
  const { task } = setting;
  [$("text-label").textContent, $("run").textContent] = WORDS[task];
  $("text-help").hidden = task !== "fill";
  $("holes-label").hidden = task !== "fill";
  $("messages").hidden = $("forget").hidden = task !== "chat" || !messages.length;
  $("more").hidden = task === "check";
  $("length").disabled = task === "fill";
  $("strategy2").disabled = !setting.compare;
  $("run").disabled = running !== null || Boolean(capable?.refused[task]);
  $("stop").hidden = running === null;
  for (const canvas of canvases) canvas.shade = setting.shade;
}

// ---- the server ----

async function models() {
  const { data } = await ask("v1/models");
  $("model").replaceChildren(...data.map((model) => new Option(model.id, model.id)));
  menus.choose($("model"), data.some((model) => model.id === setting.model) ? setting.model : data[0].id);
  if (setting.model && $("model").value !== setting.model) fail(new Error(`There is no model ${setting.model} here: ${$("model").value} is taken.`));
  await capabilities();
}

async function capabilities() {
  const path = $("model").value.split("/").map(encodeURIComponent).join("/");
  capable = await ask(`v1/models/${path}/capabilities`);
  $("about").textContent = menus.about(capable);
  if (capable.refused[setting.task]) setting.task = "generate";
  present();
}

const look = watchHealth((state, message) => {
  $("health").textContent = message;
  $("health").dataset.state = state;
  if (state === "ready") {
    if (!$("error").hidden && $("key-form").hidden) clear();
    models().catch(fail);
  }
});

// ---- asking ----

/** What is asked for a setting and a strategy: a path, a body, and the text it begins from. */
function request(strategy) {
  const common = commonOf(setting, strategy);
  const length = setting.length === "" ? {} : { length: Number(setting.length) };
  if (setting.task === "fill") return { path: "v1/fill", body: { ...common, text: setting.text }, given: setting.text };
  if (setting.task === "generate") return { path: "v1/generate", body: { ...common, ...length, prompt: setting.text }, given: setting.text };
  common.diffusion.stream_mode = "patches";
  const said = [...messages, { role: "user", content: setting.text }];
  const most = setting.length === "" ? {} : { max_tokens: Number(setting.length) };
  return { path: "v1/chat/completions", body: { ...common, ...most, messages: said }, given: setting.text };
}

/** Runs one request for each of the strategies, side by side. */
async function start(makers) {
  clear();
  card.close(false);
  timeline.pause();
  let made;
  try {
    made = makers.map((make) => make());
  } catch (error) {
    return fail(error);
  }
  const before = runs;
  const fresh = made.map(({ body, given, task }) => new Run({ ...setting, task: task ?? setting.task }, body.diffusion.strategy || "", given));
  running = new AbortController();
  arrange();
  say("Denoising …");
  const results = await Promise.allSettled(made.map((each, side) => follow(each, fresh[side], fresh)));
  const stopped = running.signal.aborted;
  running = null;
  const failed = results.find((result) => result.status === "rejected");
  if (failed && !stopped) {
    fail(failed.reason);
    say("That failed.");
  }
  if (stopped) say("Stopped.");
  if (runs === fresh && before.length) earlier.push(before);
  if (!failed) {
    for (const canvas of canvases) canvas.draw();
    say(`Finished: ${shownText(fresh[0])}`);
  }
  arrange();
  marked();
  return failed ? null : fresh;
}

/** Reads one stream into its run. */
async function follow({ path, body }, run, fresh) {
  let [text, used] = ["", null];
  for await (const told of stream(path, body, running.signal)) {
    if (told.object === "result") {
      run.finish(told.result);
      continue;
    }
    text += told.choices?.[0]?.delta?.content ?? "";
    const step = told.object === "step" ? told : told.diffusion;
    if (step && !step.patches) used = step;
    if (!step?.patches) continue;
    run.add(step);
    if (runs !== fresh && fresh.every((each) => each.frames.length)) view(fresh);
    else if (runs === fresh) timeline.grown();
  }
  if (!run.done) run.finish({ text, nfe: used?.nfe });
  if (runs !== fresh && fresh.every((each) => each.frames.length)) view(fresh);
}

async function check() {
  clear();
  running = new AbortController();
  arrange();
  try {
    const text = setting.text;
    proof.show(text, await ask("v1/check", { text, ...(setting.model ? { model: setting.model } : {}) }, running.signal));
    $("watch").hidden = true;
  } catch (error) {
    fail(error);
  }
  running = null;
  arrange();
}

async function submit() {
  if (running) return;
  changed();
  if (setting.task === "check") return check();
  proof.hide();
  const strategies = setting.compare ? [setting.strategy, setting.strategy2] : [setting.strategy];
  const chat = setting.task === "chat";
  const asked = setting.text;
  const done = await start(strategies.map((strategy) => () => request(strategy)));
  if (!done || !chat) return;
  messages.push({ role: "user", content: asked }, { role: "assistant", content: done[0].result.text });
  $("text").value = "";
  changed();
  $("messages").replaceChildren(...messages.map(({ role, content }) => {
    const item = document.createElement("li");
    item.className = role;
    item.dir = "auto";
    item.textContent = content;
    item.setAttribute("aria-label", `${role}: ${content}`);
    return item;
  }));
}

// ---- watching ----

function say(text) {
  $("live").textContent = text;
}

function shownText(run) {
  return run.result?.text ?? textOf(run.cells(run.last));
}

/** Shows runs, from their end. */
function view(shown) {
  runs = shown;
  active = 0;
  $("watch").hidden = false;
  canvases = shown.map((_, side) => new Canvas(`Side ${side + 1}`, (name, canvas, ...more) => {
    active = canvases.indexOf(canvas);
    card.told(name, canvas, ...more);
  }));
  $("sides").replaceChildren(...canvases.map((canvas) => canvas.element));
  $("sides").classList.toggle("two", shown.length > 1);
  for (const canvas of canvases) canvas.shade = setting.shade;
  timeline.take(shown);
  legend();
  for (const name of ["save", "animate"]) $(name).disabled = false;
}

function draw(frame) {
  canvases.forEach((canvas, side) => canvas.show(runs[side], Math.min(frame, runs[side].last)));
  marked();
}

function legend() {
  const parts = setting.shade === "order"
    ? [["o0", "decided first"], ["o2", "later"], ["o4", "last"]]
    : [["c0", "unsure"], ["c2", "half sure"], ["c4", "sure"]];
  const states = [["fixed", "given"], ["pending", "open"], ["provisional", "may change"], ["committed", "settled"], ["pinned committed", "pinned"], ["edited", "edited"], ["changed committed", "was changed"]];
  $("legend").replaceChildren(...[...states, ...parts].map(([kind, name]) => {
    const sample = document.createElement("span");
    sample.className = `token sample ${kind}`;
    sample.textContent = name;
    return sample;
  }));
}

/** What stands at the moment that is shown as fixed text and holes; null where nothing is open. */
function segments() {
  const canvas = canvases[active];
  const open = new Set();
  const texts = new Map();
  for (const group of canvas.groups()) {
    const text = canvas.edits.get(group.key) ?? canvas.pins.get(group.key);
    if (canvas.masked.has(group.key)) group.places.forEach((place) => open.add(place));
    else if (text !== undefined) group.places.forEach((place, number) => texts.set(place, number ? "" : text));
    else group.places.forEach((place, number) => group.cells[number].state === "pending" && open.add(place));
  }
  const run = runs[active];
  const later = new Map(run.cells(run.last).map((cell) => [cell.key, cell.text])); // says where a space belongs
  const cells = run.cells(canvas.frame).map((cell) => (cell.state === "pending" ? { ...cell, text: later.get(cell.key) } : cell));
  return whole(run, segmentsOf(cells, open, texts, unspaced(run)));
}

/** Segments with the text before and after what the model saw. */
function whole(run, parts) {
  const [before, after] = run.around();
  return parts && [...(before ? [{ text: before }] : []), ...parts, ...(after ? [{ text: after }] : [])];
}

/** Whether the space in front of the first token belongs to the tokenizer, and not to the text. */
function unspaced(run) {
  return !/^\s/.test(run.given) && run.around()[0] === "";
}

/** Why nothing can be denoised again from here, or null. */
function hindrance() {
  const run = runs[active];
  if (!run) return "";
  if (!run.done) return "This run ended before its text was whole: start it again.";
  if (run.setting.task === "chat") return "A conversation holds tokens that no text can write, so it is not denoised again from here.";
  if (capable?.refused.fill) return capable.refused.fill;
  if (!segments()) return "Nothing is open here: mask tokens again, or go back to an earlier step.";
  return null;
}

function marked() {
  const why = running ? "" : hindrance();
  $("again").disabled = running !== null || why !== null;
  $("again-why").textContent = why || "";
  $("again-why").hidden = !why;
  $("back").disabled = running !== null || !earlier.length;
  $("remask").disabled = running !== null || !runs.length || runs[active].setting.task === "chat";
}

function again() {
  const given = segments();
  if (!given) return;
  const shown = given.map((part) => part.text ?? "[MASK]".repeat(part.hole.min)).join("");
  const strategies = runs.length > 1 ? [setting.strategy, setting.strategy2] : [setting.strategy];
  start(strategies.map((strategy) => () => ({ path: "v1/fill", body: { ...commonOf(setting, strategy), segments: given }, given: shown, task: "fill" })));
}

function remask() {
  const canvas = canvases[active];
  for (const group of canvas.groups()) {
    const written = group.cells.some((cell) => cell.state === "committed" || cell.state === "provisional");
    if (written && !canvas.pins.has(group.key) && !canvas.edits.has(group.key)) canvas.masked.add(group.key);
  }
  canvas.draw();
  marked();
}

/** What else could stand where a token stands, given all the rest of the finished text; asked once for each. */
function alternatives(canvas, group) {
  const { run } = canvas;
  if (!run.done) return Promise.reject(new Error("Alternatives come when the text is finished."));
  if (run.setting.task === "chat") return Promise.reject(new Error("Alternatives are for texts, not for conversations."));
  if (capable?.refused.fill) return Promise.reject(new Error(capable.refused.fill));
  run.known ??= new Map();
  if (!run.known.has(group.key)) {
    const cells = run.cells(run.last);
    const place = cells.findIndex((cell) => cell.key === group.key);
    const places = groupsOf(cells)[place] || [];
    const given = whole(run, segmentsOf(cells, new Set(places), new Map(), unspaced(run)));
    const body = { segments: given, top: 5, ...(setting.model ? { model: setting.model } : {}) };
    const asked = wait(250, canvas, group).then(() => ask("v1/fill", body)).then(({ holes: [hole] }) =>
      [{ text: hole.text, probability: hole.probability }, ...hole.alternatives].sort((one, other) => other.probability - one.probability));
    run.known.set(group.key, asked);
    asked.catch(() => run.known.delete(group.key));
  }
  return run.known.get(group.key);
}

/** Only who stays on a token asks for it. */
async function wait(time, canvas, group) {
  await new Promise((done) => setTimeout(done, time));
  if (card.shown?.group.key !== group.key || card.shown.canvas !== canvas) throw new Error("Asked for another token.");
}

// ---- what is pressed ----

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
});
$("form").addEventListener("input", changed);
document.querySelector(".tasks").addEventListener("change", changed);
$("shade").addEventListener("change", () => {
  changed();
  legend();
  canvases.forEach((canvas) => canvas.draw());
});
$("model").addEventListener("change", () => {
  changed();
  capabilities().then(remember).catch(fail);
});
$("stop").addEventListener("click", () => running?.abort());
$("forget").addEventListener("click", () => {
  messages = [];
  $("messages").replaceChildren();
  arrange();
});
$("again").addEventListener("click", again);
$("remask").addEventListener("click", remask);
$("back").addEventListener("click", () => {
  card.close(false);
  view(earlier.pop());
});
$("take").addEventListener("click", () => {
  $("text").value = shownText(runs[active]);
  changed();
  $("text").focus();
});
$("error-close").addEventListener("click", clear);
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey($("key").value);
  clear();
  models().catch(fail);
});
$("link").addEventListener("click", async () => {
  changed();
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied.");
    $("link").textContent = "Copied";
    setTimeout(() => ($("link").textContent = "Copy a link to this setting"), 2000);
  } catch {
    fail(new Error("This browser does not let pages copy: the address of this page is the link."));
  }
});
$("save").addEventListener("click", () => {
  const [one, ...more] = runs.map((run) => run.json());
  save("run.json", "application/json", JSON.stringify(more.length ? [one, ...more] : one, null, 1));
});
$("animate").addEventListener("click", () => save("run.svg", "image/svg+xml", animation(runs[active], Number($("speed").value) || 4)));
$("load").addEventListener("change", async () => {
  const [file] = $("load").files;
  if (!file) return;
  $("load").value = "";
  try {
    const found = await read(file);
    clear();
    if (runs.length) earlier.push(runs);
    view(found);
    timeline.go(0);
    timeline.play();
    say("A saved run is shown.");
  } catch (error) {
    fail(error);
  }
});
window.addEventListener("hashchange", () => {
  setting = fromHash(location.hash) || { ...FIRST };
  if (setting.model && setting.model !== $("model").value) models().catch(fail);
  present();
});

holesMenu($("holes"), $("text"));
present();
