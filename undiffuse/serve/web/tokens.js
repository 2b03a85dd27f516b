// Tokens as characters. A token may be a part of a character (its text then has bytes as \xNN), so tokens that
// spell a character together are one group, and a group is what one may look at, pin, edit or mask again.

const BYTES = /\\x[89a-f][0-9a-f]/;

/** The bytes of a token's text as the server shows it. */
function bytesOf(text) {
  const encoder = new TextEncoder();
  const found = [];
  for (const piece of text.split(/(\\x[89a-f][0-9a-f])/)) {
    if (BYTES.test(piece) && piece.length === 4) found.push(parseInt(piece.slice(2), 16));
    else found.push(...encoder.encode(piece));
  }
  return found;
}

function decoded(texts) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(texts.flatMap(bytesOf)));
  } catch {
    return null;
  }
}

/** For each cell the places of the group it belongs to: itself alone, or all the tokens of one character. */
export function groupsOf(cells) {
  const groups = cells.map((_, place) => [place]);
  for (let start = 0; start < cells.length; start++) {
    if (!cells[start].text || !BYTES.test(cells[start].text)) continue;
    for (let end = start + 1; end <= Math.min(start + 8, cells.length); end++) {
      const part = cells.slice(start, end);
      if (part.some((cell) => !cell.text)) break;
      if (decoded(part.map((cell) => cell.text)) === null) continue;
      const group = part.map((_, offset) => start + offset);
      for (const place of group) groups[place] = group;
      start = end - 1;
      break;
    }
  }
  return groups;
}

/** The characters of cells; bytes that are no character stay as they are shown. */
export function textOf(cells) {
  const texts = cells.map((cell) => cell.text || "");
  return decoded(texts) ?? texts.join("");
}

/** What a token is called where it is shown by itself. */
export function nameOf(text) {
  if (text === "") return "∎";
  const name = text.trim() === "" ? text.replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥") : text.trim();
  return name.replace(/[\u0000-\u001f\u007f]/g, (control) => String.fromCharCode(0x2400 + (control.charCodeAt(0) & 31)));
}

/** Segments for /v1/fill: cells that `masked` names by place become holes, `texts` replaces what others say.
 *
 * A space that the first token of a hole begins with is written in front of the hole, since there it is part of the
 * fixed text. Returns null where nothing would be open.
 */
export function segmentsOf(cells, masked, texts = new Map(), unspaced = false) {
  const segments = [];
  let fixed = [];
  let count = 0;
  const flush = () => {
    const text = textOf(fixed);
    if (text) segments.push({ text });
    fixed = [];
  };
  const close = () => {
    if (count) segments.push({ hole: { min: count, max: count } });
    count = 0;
  };
  cells.forEach((cell, place) => {
    if (masked.has(place)) {
      if (count === 0) {
        if (/^ \S/.test(cell.text || "") && !(place === 0 && unspaced)) fixed.push({ text: " " });
        flush();
      }
      count += 1;
      return;
    }
    close();
    let text = texts.has(place) ? texts.get(place) : cell.text || "";
    if (place === 0 && unspaced) text = text.replace(/^ /, "");
    fixed.push({ text });
  });
  close();
  flush();
  return segments.some((segment) => segment.hole) ? segments : null;
}

/** ltr or rtl, by the first letter. (`dir=auto` would look past tokens, each of which has a direction of its own.) */
export function directionOf(text) {
  const letter = text.match(/\p{L}/u);
  return letter && /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u.test(letter[0]) ? "rtl" : "ltr";
}
