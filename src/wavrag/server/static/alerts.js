// Errors: shown at the top of the page, or of the open document, with a button to try again.

import { $, h, icon } from "./dom.js";

const place = () => ($("reader").open ? $("reader-alert") : $("alert"));

/** Shows an error; `retry` repeats the failed action. */
export function showError(error, retry) {
  const alert = place();
  const text = error.message ?? String(error);
  alert.replaceChildren(...errorContents(text, retry && (() => {
    hide(alert);
    retry();
  })), h("button", { type: "button", class: "round plain", "aria-label": "Dismiss", onclick: () => hide(alert) }, icon("close")));
  alert.hidden = false;
}

/** The text of an error, and a button to try again if there is something to repeat. */
export const errorContents = (text, retry) => [
  h("p", {}, text),
  ...(retry ? [h("button", { type: "button", class: "quiet retry", onclick: retry }, icon("retry"), "Try again")] : []),
];

function hide(alert) {
  alert.hidden = true;
  alert.replaceChildren();
}

export function hideErrors() {
  hide($("alert"));
  hide($("reader-alert"));
}
