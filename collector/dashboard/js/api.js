// Questions to the collector. Addresses are relative, so that a proxy may put the collector below a path of its own.

import { forget, token } from "./session.js";

/** What the collector said instead of an answer. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfterS) {
    super(message);
    Object.assign(this, { status, code, retryAfterS });
  }
}

export const isAbort = (error) => error?.name === "AbortError";

export function get(path, parameters, signal) {
  return ask("GET", withQuery(path, parameters), undefined, signal).then((response) => response.json());
}

export function getText(path, signal) {
  return ask("GET", path, undefined, signal).then((response) => response.text());
}

export function send(method, path, body, signal) {
  return ask(method, path, body, signal).then((response) => response.json());
}

export function withQuery(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

/** The response itself, once it is a good one. */
export async function ask(method, path, body, signal, withToken = token()) {
  const headers = withToken ? { authorization: `Bearer ${withToken}` } : {};
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", redirect: "error",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, "unreachable", "The collector does not answer. It may be restarting, or the network is away.");
  }
  if (response.ok) return response;
  const error = await refusal(response);
  if (error.status === 401 && withToken && withToken === token()) {
    forget();
    window.dispatchEvent(new CustomEvent("signed-out", { detail: error.message }));
  }
  throw error;
}

async function refusal(response) {
  const said = await response.json().then((body) => body.error, () => null);
  const retryAfterS = Number(response.headers.get("retry-after")) || null;
  return new ApiError(response.status, said?.code ?? "unknown", said?.message ?? `The collector answered ${response.status}.`, retryAfterS);
}
