// The text of an answer as elements: paragraphs, lists, rows of tables and code, with citations.

import { h } from "./dom.js";

const MARK = /\[(\d+)\]/g;
const MARKS = /(\[\d+\]\s?)*\[\d+\]/g;
const ITEM = /^\s*(?:([-*•])|\d+[.)])\s+(.*)$/;
const FENCE = /^\s*```/;
const [OPEN, CLOSE] = ["\uFDD0", "\uFDD1"]; // around the short answer: not characters of any text
const OPEN_ITEM = /^\uFDD0(\s*(?:[-*•]|\d+[.)])\s+)/m;

/**
 * Builds the elements of a text; `cite` returns the button of a citation number. The words of
 * `span`, a pair of offsets in code points, are marked.
 */
export function answerElements(text, cite, span = null) {
  const elements = [];
  if (span) text = enclose(text, span);
  let code = null; // lines of the open code block
  for (const line of text.split("\n")) {
    if (FENCE.test(line)) {
      if (code) elements.push(h("pre", { tabIndex: 0 }, code.join("\n")));
      code = code ? null : [];
    } else if (code) code.push(line);
    else if (line.trim()) addLine(elements, line, cite);
  }
  if (code) elements.push(h("pre", { tabIndex: 0 }, code.join("\n"))); // still being written
  if (span) markEnclosed(elements);
  return elements;
}

function enclose(text, [start, end]) {
  const letters = [...text]; // code points, as in Python
  const words = letters.slice(start, end).join("");
  const enclosed = letters.slice(0, start).join("") + OPEN + words + CLOSE + letters.slice(end).join("");
  return enclosed.replace(OPEN_ITEM, `$1${OPEN}`); // the mark of an item stays at its beginning
}

function markEnclosed(elements) {
  let isInside = false;
  for (const element of elements) {
    const texts = [];
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const node of texts) {
      const nodes = [];
      for (const words of node.data.split(/([\uFDD0\uFDD1])/)) {
        if (words === OPEN || words === CLOSE) isInside = words === OPEN;
        else if (words) nodes.push(isInside ? h("mark", {}, words) : words);
      }
      node.replaceWith(...nodes);
    }
  }
}

function addLine(elements, line, cite) {
  const last = elements.at(-1);
  const cells = cellsOf(line);
  const item = ITEM.exec(line);
  if (cells) {
    const labels = cells.map((cell) => cell.label).join("|");
    let table = last?.labels === labels ? last : null;
    if (!table) {
      table = h("div", { class: "table", tabIndex: 0, role: "group", "aria-label": "Table" },
        h("table", {}, h("thead", {}, h("tr", {}, ...cells.map((cell) => h("th", { scope: "col" }, cell.label)))), h("tbody")));
      table.labels = labels;
      elements.push(table);
    }
    table.querySelector("tbody").append(h("tr", {}, ...cells.map((cell) => h("td", {}, ...citedText(cell.value, cite)))));
  } else if (item) {
    const tag = item[1] ? "UL" : "OL";
    if (last?.tagName !== tag) elements.push(h(tag));
    elements.at(-1).append(h("li", {}, ...citedText(item[2], cite)));
  } else elements.push(h("p", {}, ...citedText(line, cite)));
}

/** The cells of a row such as "Route: Night bus | Fare: 4.50 [1]"; null for other lines. */
function cellsOf(line) {
  const parts = line.split(" | ");
  if (parts.length < 2) return null;
  const cells = parts.map((part) => /^([^:|]{1,60}): (.*)$/.exec(part.trim()));
  // The first cell of a row may have no label.
  if (!cells.slice(1).every(Boolean)) return null;
  return cells.map((cell, i) => (cell ? { label: cell[1], value: cell[2] } : { label: "", value: parts[i].trim() }));
}

/** Text with its citations; their numbers stay on the line of the last word before them. */
function citedText(text, cite) {
  const nodes = [];
  let from = 0;
  for (const marks of text.matchAll(MARKS)) {
    const [, before, word] = /^([^]*?)(\S*)\s*$/.exec(text.slice(from, marks.index));
    const numbers = [...marks[0].matchAll(MARK)].map((mark) => Number(mark[1]));
    from = marks.index + marks[0].length;
    const [punctuation] = /^[.,;:!?)]*/.exec(text.slice(from));
    from += punctuation.length;
    nodes.push(before, h("span", { class: "keep" }, word, "\u202f", ...numbers.map(cite), punctuation));
  }
  return [...nodes, text.slice(from)];
}
