// What the server is asked, and how its errors and its streams are read.

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status; // 0: the server did not answer
  }
}

let key = "";

/** The API key that is sent along. It is kept in this tab alone, never in a link. */
export function useKey(value) {
  key = value;
}

async function call(path, body, signal) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const request = { method: body === undefined ? "GET" : "POST", headers, signal, cache: "no-store" };
  if (body !== undefined) request.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. What you wrote is kept.", 0);
  }
  if (answer.ok) return answer;
  let message = `The server answered with status ${answer.status}.`;
  try {
    message = (await answer.json()).error.message;
  } catch {
    // not one of the server's own errors: the status is all there is to say
  }
  throw new ServerError(message, answer.status);
}

/** The JSON answer of an endpoint; with a body it is POSTed. */
export async function ask(path, body, signal) {
  return (await call(path, body, signal)).json();
}

/** The objects of a stream of server-sent events, until `[DONE]`. */
export async function* stream(path, body, signal) {
  const reader = (await call(path, { ...body, stream: true }, signal)).body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ServerError("The server went away in the middle of the answer. What you wrote is kept.", 0);
      }
      if (piece.done) throw new ServerError("The answer ended before it was whole.", 0);
      rest += decoder.decode(piece.value, { stream: true });
      const lines = rest.split(/\r\n|\n|\r/);
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        const found = JSON.parse(data);
        if (found.error) throw new ServerError(found.error.message, 500);
        yield found;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
