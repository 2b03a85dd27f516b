// Files: a run as JSON, written and read again.

import { Run } from "./run.js";

/** Offers a file to be saved. */
export function save(name, kind, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** The runs of a file, one or two that were compared. Error for what is none. */
export async function read(file) {
  let data;
  try {
    data = JSON.parse(await file.text());
  } catch {
    throw new Error(`${file.name} is no JSON.`);
  }
  const runs = Array.isArray(data) ? data : [data];
  if (runs.length < 1 || runs.length > 2) throw new Error("A file holds one run, or two that were compared.");
  return runs.map((each) => Run.of(each));
}
