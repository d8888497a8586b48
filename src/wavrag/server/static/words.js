// Words of transcripts as elements that show which of them is spoken.

import { h } from "./dom.js";

const UNSURE = 0.4; // probability below which more than one word in four is wrong

/** Creates elements for words with times, separated by spaces. */
export const wordElements = (words) =>
  words.flatMap((word, i) => {
    const isUnsure = word.probability < UNSURE && /[a-z0-9]/i.test(word.text);
    const element = h("span", { class: isUnsure ? "word unsure" : "word", title: isUnsure ? "Recognised with little confidence" : undefined }, word.text);
    element.dataset.start = word.start;
    element.dataset.end = word.end;
    return i ? [" ", element] : [element];
  });

/** Marks the word at a time of the recording among the words of an element; returns it. */
export function markSpoken(container, second) {
  let spoken = null;
  for (const word of container.querySelectorAll(".word")) {
    const isSpoken = second !== null && Number(word.dataset.start) <= second && second < Number(word.dataset.end);
    word.classList.toggle("spoken", isSpoken);
    if (isSpoken) spoken = word;
  }
  return spoken;
}
