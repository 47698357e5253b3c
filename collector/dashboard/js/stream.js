// Server-sent events by fetch, because EventSource cannot send who asks.

import { ask, withQuery } from "./api.js";

/** Events `{type, id, data}` until the answer ends. */
export async function* watch(path, parameters, signal) {
  const response = await ask("GET", withQuery(path, parameters), undefined, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const event = read(frame);
      if (event) yield event;
    }
  }
}

function read(frame) {
  const event = { type: "message", id: null, data: "" };
  for (const line of frame.split("\n")) {
    const at = line.indexOf(": ");
    if (at <= 0) continue;
    const [name, value] = [line.slice(0, at), line.slice(at + 2)];
    if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
    else if (name === "data") event.data += value;
  }
  return event.data === "" ? null : { ...event, data: JSON.parse(event.data) };
}
