// The menu of blanks: each entry writes the syntax at the caret and selects what one is likely to change.

const HOLES = [
  ["one token", "[MASK]"],
  ["some tokens", "[MASK:5]", "5"],
  ["two to six tokens", "[MASK:2-6]", "2-6"],
  ["one to eight tokens", "____"],
  ["one of a list", "{NAME:choice(yes|perhaps|no)}", "yes|perhaps|no"],
  ["yes or no", "{NAME:yesno}"],
  ["a date", "{NAME:date}"],
  ["a whole number", "{NAME:int(1-99)}", "1-99"],
  ["a pattern", "{NAME:/[A-Z]{2}[0-9]+/}", "[A-Z]{2}[0-9]+"],
];

/** Fills the menu, which writes into a text area. */
export function holesMenu(menu, area) {
  menu.add(new Option("choose …", ""));
  for (const [name, syntax] of HOLES) menu.add(new Option(`${name}: ${syntax.replace("NAME", "x")}`, syntax));
  menu.addEventListener("change", () => {
    const [, syntax, chosen] = HOLES.find(([, each]) => each === menu.value) || [];
    menu.value = "";
    if (!syntax) return;
    let number = 1;
    while (area.value.includes(`{x${number}:`)) number += 1;
    const text = syntax.replace("NAME", `x${number}`);
    const start = area.selectionStart;
    area.setRangeText(text, start, area.selectionEnd, "end");
    if (chosen) area.setSelectionRange(start + text.indexOf(chosen), start + text.indexOf(chosen) + chosen.length);
    area.focus();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
