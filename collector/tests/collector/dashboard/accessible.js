// What is wrong with the page for somebody who does not see it, sees it badly, or has no mouse: a list of sentences. The
// rules are those of WCAG 2.2 AA that a program can decide.

const problems = [];
const say = (element, what) => problems.push(`${what}: ${describe(element)}`);
const describe = (element) => {
  const classes = typeof element.className === "string" && element.className ? `.${element.className.trim().split(/\s+/).join(".")}` : "";
  const text = (element.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 40);
  return `<${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}${classes}> "${text}"`;
};
const isShown = (element) => element.checkVisibility({ checkOpacity: false, visibilityProperty: true });
const all = (css) => [...document.querySelectorAll(css)].filter(isShown);
const isHidden = (element) => element.closest("[aria-hidden='true']") !== null;

// Names.
function textOf(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.textContent;
  if (node.nodeType !== Node.ELEMENT_NODE || node.getAttribute("aria-hidden") === "true") return "";
  return node.getAttribute("aria-label") ?? [...node.childNodes].map(textOf).join(" ");
}
function nameOf(element) {
  const by = (element.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean).map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
  const labels = [...(element.labels ?? [])].map(textOf).join(" ");
  return (by || element.getAttribute("aria-label") || labels || (element.matches("input, select") ? "" : textOf(element)) || element.getAttribute("title") || "").trim();
}
for (const element of all("a[href], button, input, select, textarea, summary, [role='button'], [role='img'], [role='region'], dialog, nav")) {
  if (!isHidden(element) && nameOf(element) === "") say(element, "has no name");
}
for (const picture of all("svg")) {
  if (picture.getAttribute("role") !== "img" && !isHidden(picture)) say(picture, "is neither hidden from a reader nor named");
}
for (const input of all("input:not([type='hidden']), select")) {
  if (!isHidden(input) && input.labels?.length === 0 && !input.getAttribute("aria-label")) say(input, "has no label");
}

// Structure.
if (!document.documentElement.lang) problems.push("the page has no language");
if (!document.title.trim()) problems.push("the page has no title");
if (all("main").length !== 1) problems.push(`there are ${all("main").length} main parts`);
if (all("h1").length !== 1) problems.push(`there are ${all("h1").length} headings of the first level`);
let level = 0;
for (const heading of all("h1, h2, h3, h4")) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) say(heading, `follows a heading of level ${level}`);
  if (heading.textContent.trim() === "") say(heading, "is an empty heading");
  level = next;
}
const ids = new Map();
for (const { id } of document.querySelectorAll("[id]")) ids.set(id, (ids.get(id) ?? 0) + 1);
for (const [id, n] of ids) if (n > 1) problems.push(`the id ${id} stands ${n} times`);
for (const name of ["aria-labelledby", "aria-describedby", "aria-controls"]) {
  for (const element of document.querySelectorAll(`[${name}]`)) {
    for (const id of element.getAttribute(name).split(/\s+/)) if (!ids.has(id)) say(element, `${name} names ${id}, which is not there`);
  }
}
for (const table of all("table")) {
  if (!table.caption?.textContent.trim()) say(table, "has no caption");
  for (const cell of table.querySelectorAll("th")) if (!cell.scope) say(cell, "does not say what it heads");
}
for (const list of document.querySelectorAll("ul, ol")) {
  for (const child of list.children) if (child.tagName !== "LI") say(child, "is in a list and no item of it");
}
for (const list of document.querySelectorAll("dl")) {
  const isPair = (group) => group.matches("div") && group.querySelector(":scope > dt") && group.querySelector(":scope > dd");
  for (const child of list.children) if (!isPair(child)) say(child, "is in a list of terms and no pair");
}
for (const element of document.querySelectorAll("[aria-hidden='true'] :is(a, button, input, select, [tabindex='0'])")) {
  if (isShown(element) && element.tabIndex >= 0) say(element, "can be reached by keyboard and is hidden from a reader");
}
for (const element of document.querySelectorAll("[tabindex]")) if (element.tabIndex > 0) say(element, "changes the order of the keyboard");
for (const text of document.querySelectorAll("time")) if (!text.dateTime || !/UTC$/.test(text.title)) say(text, "is a time without its moment in UTC");

// Contrast.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
canvas.canvas.width = canvas.canvas.height = 1;
const colours = new Map();
function colour(css) {
  if (!colours.has(css)) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    colours.set(css, [r, g, b, a / 255]);
  }
  return colours.get(css);
}
const over = ([r, g, b, a], below) => [r, g, b].map((value, idx) => value * a + below[idx] * (1 - a));
function ground(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const layer = colour(getComputedStyle(at).backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255]);
}
const light = (rgb) => rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, idx) => sum + value * [0.2126, 0.7152, 0.0722][idx], 0);
let n_texts = 0;
let lowest = 21;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const measured = new Set();
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || measured.has(element) || !isShown(element) || element.closest(".unseen, .skip, :disabled, script")) continue;
  measured.add(element);
  const style = getComputedStyle(element);
  const below = ground(element);
  const above = over(colour(element instanceof SVGElement ? style.fill : style.color), below);
  const [bright, dark] = [light(above), light(below)].sort((a, b) => b - a);
  const ratio = (bright + 0.05) / (dark + 0.05);
  const size = parseFloat(style.fontSize);
  const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
  n_texts += 1;
  lowest = Math.min(lowest, ratio);
  if (ratio < wanted) say(element, `contrast ${ratio.toFixed(2)} of ${style.color} is below ${wanted}`);
}

// Size and place.
for (const control of all("button, input:not([type='radio']):not([type='checkbox']), select, nav a, .button")) {
  if (control.closest(".unseen, .skip") || control.classList.contains("unseen")) continue;
  const { width, height } = control.getBoundingClientRect();
  if (width < 24 || height < 24) say(control, `is ${Math.round(width)} by ${Math.round(height)} pixels, too small to touch`);
}
if (document.documentElement.scrollWidth > window.innerWidth) {
  const widest = all("body *").filter((element) => element.getBoundingClientRect().right > window.innerWidth + 1 && !element.closest(".table-wrap, .unseen, #menu"));
  problems.push(`the page is ${document.documentElement.scrollWidth} pixels wide in a window of ${window.innerWidth}: ${widest.slice(0, 3).map(describe).join("; ")}`);
}

// The focus can be seen.
const reachable = all("a[href], button:not(:disabled), input, select, summary").filter((element) => element.tabIndex >= 0 && !element.closest(".unseen, .skip"));
const before = document.activeElement;
for (const element of reachable.slice(0, 60)) {
  element.focus({ preventScroll: true, focusVisible: true });
  if (document.activeElement === element && getComputedStyle(element).outlineStyle === "none") say(element, "does not show the focus");
}
before?.focus?.({ preventScroll: true });

return { problems, n_texts, lowest };
