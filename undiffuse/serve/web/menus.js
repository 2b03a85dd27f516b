// Menus that follow from what a model accepts, and what it refuses with the reason.

/** The strategies of a model, presets first. */
export function strategies(menu, capable, value, first = "as the model has it") {
  menu.replaceChildren(new Option(first, ""));
  const presets = document.createElement("optgroup");
  presets.label = "presets";
  for (const [name, summary] of Object.entries(capable?.presets ?? {})) {
    const option = new Option(name, name);
    option.title = summary;
    presets.append(option);
  }
  const named = document.createElement("optgroup");
  named.label = "strategies";
  named.append(...(capable?.strategies ?? []).map((name) => new Option(name, name)));
  menu.append(presets, named);
  choose(menu, value);
}

export function caches(menu, capable, value) {
  menu.replaceChildren(new Option("as the strategy has it", ""), ...(capable?.caches ?? []).map((name) => new Option(name, name)));
  choose(menu, value);
}

/** Sets a value, also one that a model does not have: the server then says so. */
export function choose(menu, value) {
  if (value && ![...menu.options].some((option) => option.value === value)) menu.add(new Option(value, value));
  menu.value = value;
}

/** Disables the tasks that a model refuses, with the reasons in a list. */
export function tasks(capable) {
  const reasons = [];
  for (const radio of document.querySelectorAll('input[name="task"]')) {
    const why = capable?.refused[radio.value];
    radio.disabled = Boolean(why);
    radio.removeAttribute("aria-describedby");
    if (!why) continue;
    const item = document.createElement("li");
    item.id = `why-${radio.value}`;
    item.textContent = `${radio.parentElement.textContent.trim()}: ${why}`;
    radio.setAttribute("aria-describedby", item.id);
    reasons.push(item);
  }
  document.getElementById("reasons").replaceChildren(...reasons);
}

/** What a model is, in a line. */
export function about(capable) {
  const blocks = capable.block_length ? `, blocks of ${capable.block_length}` : "";
  return `${capable.kind}${blocks}, ${capable.context} tokens of context, on ${capable.device}`;
}
