// Whether the server is there: it is asked now and then, and sooner while it is not.

const EVERY = 10000;
const SOON = 1000;

/** Calls `told(state, message)` whenever the state changes: ready, loading, away. */
export function watchHealth(told) {
  let state = "";
  let timer = 0;

  async function look() {
    clearTimeout(timer);
    let [now, message] = ["away", "The server does not answer; trying again"];
    try {
      const answer = await fetch("readyz", { cache: "no-store" });
      const found = await answer.json();
      [now, message] = found.ready ? ["ready", "Connected"] : ["loading", `The server is not ready: ${found.why}`];
    } catch {
      // no answer: `away`
    }
    if (now !== state) {
      const back = state === "away" && now === "ready";
      state = now;
      told(now, back ? "The server is back" : message);
    }
    timer = setTimeout(look, now === "ready" ? EVERY : SOON);
  }

  look();
  return look;
}
