// The setting: everything that a link holds. It stands in the address after #, so that reloading keeps what was typed.

export const NUMBERS = ["steps", "length", "block_length", "temperature", "seed"];
export const CHOICES = ["strategy", "cache", "strategy2", "options"];

export const FIRST = {
  task: "fill", text: "", model: "", strategy: "", strategy2: "", cache: "", options: "", compare: false,
  steps: "", length: "", block_length: "", temperature: "", seed: "0", shade: "confidence",
};

/** A setting as what follows # in an address; what is as at first is left out. */
export function toHash(setting) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(setting)) {
    if (name in FIRST && value !== FIRST[name]) found.set(name, value === true ? "1" : value);
  }
  return found.toString();
}

/** The setting of an address, or null where it holds none; names that nobody knows are left out. */
export function fromHash(hash) {
  const setting = { ...FIRST };
  let any = false;
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!(name in FIRST)) continue;
    any = true;
    setting[name] = name === "compare" ? value === "1" : value;
  }
  if (!["fill", "generate", "chat", "check"].includes(setting.task)) setting.task = "fill";
  return any ? setting : null;
}

/** The `diffusion` object of a request: a strategy with what stands beside it. */
export function diffusionOf(setting, strategy) {
  const found = {};
  if (strategy) found.strategy = strategy;
  if (setting.cache) found.cache = setting.cache;
  for (const name of ["steps", "block_length"]) if (setting[name] !== "") found[name] = Number(setting[name]);
  for (const pair of setting.options.split(/[\s,]+/).filter(Boolean)) {
    const at = pair.indexOf("=");
    if (at < 1) throw new Error(`Other options are written name=value, and this one is not: ${pair}`);
    const value = pair.slice(at + 1);
    found[pair.slice(0, at)] = value === "true" ? true : value === "false" ? false : value !== "" && !isNaN(value) ? Number(value) : value;
  }
  return found;
}

/** What every request says beside its text. */
export function commonOf(setting, strategy) {
  const found = { diffusion: diffusionOf(setting, strategy) };
  if (setting.model) found.model = setting.model;
  if (setting.seed !== "") found.seed = Number(setting.seed);
  if (setting.temperature !== "") found.temperature = Number(setting.temperature);
  return found;
}
