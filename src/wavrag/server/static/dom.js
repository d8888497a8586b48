// Helpers for elements, icons, times and animated lists.

export const $ = (id) => document.getElementById(id);

const SVG = "http://www.w3.org/2000/svg";

/** Creates an element with properties (`on…` adds a listener, unknown names become attributes) and children. */
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
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#icon-${name}`);
}

/** Formats seconds as 1:23. */
export function clock(seconds) {
  const total = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(total / 60) % 60;
  const hours = Math.floor(total / 3600);
  const padded = String(total % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${padded}` : `${minutes}:${padded}`;
}

/** True for a passage of a recording, or of a transcript with a recording beside it. */
export const isPlayable = (passage) => passage.modality === "audio" || Boolean(passage.recording);

/** Formats the location of a passage: times, track, channel and chapter, or page and section. */
export function locationOf(passage) {
  if (passage.start != null) {
    // A citation with known times of its quote shows those.
    const [start, end] = [passage.quote_start ?? passage.start, passage.quote_end ?? passage.end];
    const numbers = ["track", "channel"].map((name) => passage[name] && `${name} ${passage[name]}`);
    const span = `${clock(Math.round(start))}–${clock(Math.round(end))}`;
    return [span, ...numbers, passage.speaker, passage.section].filter(Boolean).join(", ");
  }
  return [passage.page && `page ${passage.page}`, passage.section].filter(Boolean).join(", ");
}

/** Shows a dialog, and waits for its end; true if the user agreed. */
export function isConfirmed(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** True if a speaker has a name, not only a number. */
export const isNamed = (speaker) => !/^speaker [\d.]+$/.test(speaker);

/** The file name of a document or a passage; an upload keeps the name that its user gave it. */
export const fileName = ({ name, source, metadata }) => name ?? metadata?.filename ?? (source.split(/[\\/]/).pop() || source);

/** Shortens a folder to its last two names. */
export function shortFolder(folder) {
  const names = folder.split(/[\\/]/).filter(Boolean);
  return names.length > 2 ? `…/${names.slice(-2).join("/")}` : folder;
}

/** Formats an ISO 8601 time as a date such as 28 Nov 2026. */
export function dateOf(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/** Formats a duration as 5 s, 12 min or 1.5 h. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export const plural = (count, singular, plural = `${singular}s`) => `${count} ${count === 1 ? singular : plural}`;

export const prefersReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * Replaces the children of a list: remaining elements move to their new positions, new ones fade
 * in. There is no animation if the user prefers reduced motion.
 */
export function reorder(list, elements) {
  const before = new Map([...list.children].map((child) => [child, child.getBoundingClientRect()]));
  if (elements.length === before.size && elements.every((element, i) => list.children[i] === element)) return;
  const focused = document.activeElement;
  list.replaceChildren(...elements);
  if (list.contains(focused)) focused.focus({ preventScroll: true });
  if (prefersReducedMotion()) return;
  for (const element of elements) {
    const old = before.get(element);
    const now = element.getBoundingClientRect();
    const keyframes = old
      ? [{ transform: `translate(${old.left - now.left}px, ${old.top - now.top}px)` }, { transform: "none" }]
      : [{ opacity: 0, transform: "translateY(6px)" }, { opacity: 1, transform: "none" }];
    element.animate(keyframes, { duration: old ? 260 : 180, easing: "cubic-bezier(.2,.7,.2,1)" });
  }
}
