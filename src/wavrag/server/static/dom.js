// Elements, icons and times: what every part of the page builds with.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties (`on…` listens, `data…` and `aria…` become attributes) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `icons.svg#${name}`);
}

/** Seconds as 1:23. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  const padded = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
}

/** Where a passage stands, for people: seconds of a recording, page and section of a document. */
export function locationOf(passage) {
  if (passage.modality === "audio") {
    return passage.start === undefined ? "" : `${clock(Math.round(passage.start))}–${clock(Math.round(passage.end))}`;
  }
  return [passage.page && `page ${passage.page}`, passage.section].filter(Boolean).join(", ");
}

/** Seconds as words. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const wantsStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * Makes a list show elements in their order. Those that stay glide to their new places, new ones
 * fade in; nothing moves where less motion is wanted.
 */
export function reorder(list, elements) {
  const before = new Map([...list.children].map((child) => [child, child.getBoundingClientRect()]));
  if (elements.length === before.size && elements.every((one, i) => list.children[i] === one)) return;
  const focused = document.activeElement;
  list.replaceChildren(...elements);
  if (list.contains(focused)) focused.focus({ preventScroll: true });
  if (wantsStill()) return;
  for (const element of elements) {
    const old = before.get(element);
    const now = element.getBoundingClientRect();
    const steps = old
      ? [{ transform: `translate(${old.left - now.left}px, ${old.top - now.top}px)` }, { transform: "none" }]
      : [{ opacity: 0, transform: "translateY(6px)" }, { opacity: 1, transform: "none" }];
    element.animate(steps, { duration: old ? 260 : 180, easing: "cubic-bezier(.2,.7,.2,1)" });
  }
}
