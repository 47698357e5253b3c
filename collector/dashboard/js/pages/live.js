// Events as they come. The stream is opened first and the list asked for then, so that nothing is missed between them.

import { get, isAbort } from "../api.js";
import { announce, h, replace, sleep } from "../dom.js";
import { number, plural, time } from "../format.js";
import { badge, decisionLink, empty, failed, heading, idOf, rulesOf, scoreBar } from "../parts.js";
import { onKey, step } from "../shortcuts.js";
import { watch } from "../stream.js";

const SHOWN_MAX = 200;
const FIRST = 50;
const DRAW_EVERY_MS = 100;
const SAY_EVERY_MS = 5_000;
const FILTERS = ["action", "verdict", "route", "rule", "text", "score_min"];
const ENDS = {
  too_slow: "Events came faster than this browser took them.",
  not_allowed: "Your access has ended.",
  stopping: "The collector is stopping.",
};

export default async function draw({ main, query, signal }) {
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name)]).filter(([, value]) => value));
  const feed = new Feed(filter, signal);
  const hold = h("button", { type: "button", "aria-pressed": "false", title: "Hold or go on (space)", on: { click: () => feed.toggle() } }, "Hold");
  feed.hold = hold;
  onKey(" ", () => feed.toggle(), signal);
  onKey("j", () => step(feed.links(), 1), signal);
  onKey("k", () => step(feed.links(), -1), signal);
  const form = filters(filter);
  onKey("/", () => form.querySelector("select, input").focus(), signal);
  replace(main, heading("Live", null, feed.state, hold), form, feed.news, feed.place);
  feed.run();
}

function filters(filter) {
  const select = (name, label, words) => h("label", label, h("select", { name },
    h("option", { value: "" }, "any"), words.map((word) => h("option", { value: word, selected: filter[name] === word }, word))));
  const input = (name, label, more = {}) => h("label", label, h("input", { name, value: filter[name] ?? "", autocomplete: "off", spellcheck: "false", ...more }));
  const apply = (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value !== "");
    location.hash = given.length === 0 ? "#/live" : `#/live?${new URLSearchParams(given)}`;
  };
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filter", on: { submit: apply, change: apply } },
    select("action", "Action", ["allow", "monitor", "tag", "mask", "block"]),
    select("verdict", "Verdict", ["clean", "incomplete", "sensitive", "suspicious", "malicious"]),
    input("route", "Route"), input("rule", "Rule", { placeholder: "pii/email" }), input("text", "Words"),
    input("score_min", "Score from", { type: "number", min: 0, max: 1, step: 0.05 }),
    h("button", { type: "submit" }, "Filter"),
    Object.keys(filter).length > 0 ? h("a", { href: "#/live", class: "button quiet" }, "Clear") : null);
  return form;
}

class Feed {
  constructor(filter, signal) {
    Object.assign(this, { filter, signal, events: [], known: new Set(), isHeld: false, waiting: 0, drawing: null, unsaid: { n: 0, blocked: 0 }, saidAt: 0 });
    this.state = h("span", { class: "live-state" }, "connecting");
    this.news = h("p", { class: "news", hidden: true });
    this.list = h("ol", { class: "feed", "aria-label": "Newest events, the newest first" });
    this.place = h("div", { "aria-busy": "true" }, this.list);
    signal.addEventListener("abort", () => clearTimeout(this.drawing));
  }

  links() {
    return [...this.list.querySelectorAll("a")];
  }

  async run() {
    let pause = 500;
    while (!this.signal.aborted) {
      try {
        await this.follow(() => { pause = 500; });
      } catch (error) {
        if (isAbort(error) || this.signal.aborted) return;
        if (error.status === 400 || error.status === 403) return replace(this.place, failed(error));
        if (error.status === 401) return;
        this.say("bad", error.message);
      }
      await sleep(pause, this.signal);
      pause = Math.min(10_000, pause * 2);
    }
  }

  async follow(onGood) {
    for await (const { type, data } of watch("v1/live", this.filter, this.signal)) {
      if (type === "hello") {
        onGood();
        this.say("good", "live");
        this.catchUp();
      } else if (type === "event") {
        this.add([data]);
      } else if (type === "skipped") {
        this.tell(`${plural(data.n, "entry", "entries")} came faster than can be shown. A filter shows fewer; the figures of the overview have all.`);
      } else if (type === "end") {
        this.tell(ENDS[data.reason] ?? "The feed has ended.");
        if (data.reason === "not_allowed") throw new DOMException("ended", "AbortError");
      }
    }
    this.say("bad", "connecting again");
  }

  async catchUp() {
    try {
      const { events } = await get("v1/events", { ...this.filter, limit: FIRST }, this.signal);
      this.add(events.reverse(), false);
      this.flush();
    } catch (error) {
      if (!isAbort(error)) this.tell(error.message);
    } finally {
      this.place.removeAttribute("aria-busy");
    }
  }

  /** In the order of arrival. */
  add(events, isNew = true) {
    for (const event of events) event.id = idOf(event);
    const unseen = events.filter(({ id }) => !this.known.has(id));
    if (unseen.length === 0) return;
    for (const event of unseen) {
      this.known.add(event.id);
      event.isNew = isNew;
    }
    this.events = [...unseen.reverse(), ...this.events];
    if (!isNew) this.events.sort((a, b) => b.time_ms - a.time_ms);
    for (const { id } of this.events.splice(SHOWN_MAX)) this.known.delete(id);
    if (isNew) this.count(unseen);
    if (this.isHeld) {
      this.waiting += unseen.length;
      this.hold.textContent = `Go on (${number(this.waiting)} new)`;
    } else {
      this.drawing ??= setTimeout(() => this.flush(), DRAW_EVERY_MS);
    }
  }

  flush() {
    clearTimeout(this.drawing);
    this.drawing = null;
    if (this.events.length === 0) {
      const isFiltered = Object.keys(this.filter).length > 0;
      replace(this.place, empty(isFiltered ? "No event fits the filter" : "No event yet",
        isFiltered ? "New ones that fit appear here by themselves." : "Send a request through a filter that reports to this collector: it appears here within a second."));
      return;
    }
    if (!this.place.contains(this.list)) replace(this.place, this.list);
    const there = new Map([...this.list.children].map((row) => [row.dataset.id, row]));
    const rows = this.events.map((event) => there.get(event.id) ?? row(event));
    const kept = new Set(rows);
    for (const old of [...this.list.children]) if (!kept.has(old)) old.remove();
    // Rows that are there stay where they are, so that the focus stays on them.
    let next = this.list.firstChild;
    for (const one of rows) {
      if (one === next) next = next.nextSibling;
      else this.list.insertBefore(one, next);
    }
  }

  toggle() {
    this.isHeld = !this.isHeld;
    this.waiting = 0;
    this.hold.textContent = this.isHeld ? "Go on" : "Hold";
    this.hold.setAttribute("aria-pressed", String(this.isHeld));
    if (!this.isHeld) this.flush();
    announce(this.isHeld ? "The feed is held" : "The feed goes on");
  }

  /** A listener is told how many, now and then, and never each one. */
  count(events) {
    this.unsaid.n += events.length;
    this.unsaid.blocked += events.filter(({ action }) => action === "block").length;
    const now = Date.now();
    if (now - this.saidAt < SAY_EVERY_MS) return;
    announce(`${plural(this.unsaid.n, "new event")}, ${number(this.unsaid.blocked)} blocked`);
    this.saidAt = now;
    this.unsaid = { n: 0, blocked: 0 };
  }

  say(kind, text) {
    replace(this.state, h("span", { class: `dot is-${kind}`, "aria-hidden": "true" }), text);
  }

  tell(text) {
    this.news.hidden = false;
    this.news.textContent = text;
  }
}

function row(event) {
  const { id, time_ms: at, action, verdict, score, route, host, path, session, isNew, erased } = event;
  return h("li", { "data-id": id, class: isNew ? "is-new" : null },
    h("a", { href: decisionLink(event), class: `row is-${action}` },
      h("span", { class: "row-time" }, time(at, Date.now() - at < 43_200_000 ? "clock" : "day")),
      h("span", { class: "row-action" }, badge(action)),
      h("span", { class: "row-score" }, scoreBar(score)),
      h("span", { class: "row-what" }, erased ? h("span", { class: "dim" }, "text erased") : rulesOf(event), verdict === "clean" ? null : h("span", { class: "dim" }, ` ${verdict}`)),
      h("span", { class: "row-where dim" }, route ?? host ?? "", path ? ` ${path}` : "", session?.id ? ` · ${session.id.slice(0, 6)}` : "")));
}
