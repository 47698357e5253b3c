// Elements from values. Text is always text: nothing in the dashboard reads HTML, so nothing from traffic becomes a part
// of the page.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Members of `attributes` that are null or false are left out; `on` has listeners, `style` properties. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(element, attributes, children) {
  if (isChild(attributes)) {
    children = [attributes, ...children];
  } else {
    set(element, attributes ?? {});
  }
  element.append(...children.flat(Infinity).filter(isShown).map(toNode));
  return element;
}

function isChild(value) {
  return typeof value === "string" || typeof value === "number" || value instanceof Node || Array.isArray(value);
}

const isShown = (child) => child !== null && child !== undefined && child !== false;
const toNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "style") {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(isShown).map(toNode));
  return element;
}

/** An id that no other element has. */
export function unique(prefix) {
  unique.count = (unique.count ?? 0) + 1;
  return `${prefix}-${unique.count}`;
}

/** Says it to whoever listens to the page. */
export function announce(text) {
  const place = document.getElementById("announcer");
  if (place) place.textContent = text;
}

export function sleep(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/** Again and again while the page is looked at, until the signal. */
export async function every(ms, signal, act) {
  while (!signal.aborted) {
    await sleep(ms, signal);
    if (signal.aborted || document.hidden) continue;
    await act();
  }
}
