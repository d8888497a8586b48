// The speakers of a recording: how long each speaks, their names, and the voice prints that are kept.

import { showError } from "./alerts.js";
import { documentPath, json } from "./api.js";
import { clock, duration, h, icon, isNamed } from "./dom.js";
import { play } from "./transcript.js";

/** Shows the speakers of a recording. */
export async function showSpeakers(document, container) {
  const path = `${documentPath(document.id)}/speakers`;
  try {
    const [{ speakers }, { voices }] = await Promise.all([json(path), json("v1/voices")]);
    render(document, container, speakers, voices);
  } catch (error) {
    showError(error, () => showSpeakers(document, container));
  }
}

function render(document, container, speakers, voices) {
  const longest = Math.max(...speakers.map((speaker) => speaker.seconds), 1);
  const list = h("ol", { class: "speakers" }, ...speakers.map((speaker) => row(document, container, speaker, speaker.seconds / longest)));
  const kept = h("section", { class: "voices", hidden: !voices.length, "aria-label": "Voice prints" },
    h("h3", {}, "Voice prints"),
    h("p", { class: "notice" }, "These speakers are recognised in recordings added later."),
    h("ul", {}, ...voices.map((name) => h("li", {}, icon("person"), h("span", {}, name),
      h("button", { type: "button", class: "quiet", "aria-label": `Forget the voice of ${name}`, onclick: () => forget(document, container, name) }, "Forget")))));
  container.replaceChildren(list, kept);
}

function row(document, container, speaker, share) {
  const item = h("li", {},
    h("span", { class: "badge" }, icon("person")),
    h("div", { class: "speaker-body" },
      h("strong", {}, speaker.name),
      h("meter", { min: 0, max: 1, value: share, "aria-label": `Share of ${speaker.name}` }),
      h("span", { class: "location" }, `speaks for ${duration(speaker.seconds)}, first at ${clock(Math.floor(speaker.start))}`)),
    h("button", { type: "button", class: "quiet", "aria-label": `Play ${speaker.name}`, onclick: () => play(speaker.start) }, "Play"),
    h("button", { type: "button", class: "quiet", "aria-label": `Name ${speaker.name}`, onclick: () => item.replaceWith(form(document, container, speaker, item)) }, "Name"));
  return item;
}

function form(document, container, speaker, item) {
  const name = h("input", { value: isNamed(speaker.name) ? speaker.name : "", required: true, maxlength: 100, "aria-label": `Name of ${speaker.name}`, placeholder: "Name" });
  const remember = h("input", { type: "checkbox" });
  const save = h("button", { class: "primary" }, "Save");
  const element = h("li", {}, h("form", {
    class: "naming",
    onsubmit: async (event) => {
      event.preventDefault();
      save.disabled = true;
      try {
        const { speakers } = await json(`${documentPath(document.id)}/speakers`, {
          method: "PATCH",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ speaker: speaker.name, name: name.value, remember: remember.checked }),
        });
        const title = name.value.trim();
        for (const content of document.contents) if (content.speaker === speaker.name) content.speaker = title;
        render(document, container, speakers, (await json("v1/voices")).voices);
      } catch (error) {
        save.disabled = false;
        showError(error);
      }
    },
    onkeydown: (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // would close the dialog
      event.stopPropagation();
      cancel();
    },
  }, name,
  h("label", { class: "check" }, remember, h("span", {}, "Recognise this voice in recordings added later. A voice print is personal data: ask the speaker first.")),
  h("div", { class: "actions" }, h("button", { type: "button", class: "quiet", onclick: () => cancel() }, "Cancel"), save)));
  const cancel = () => element.replaceWith(item);
  setTimeout(() => name.focus());
  return element;
}

async function forget(document, container, name) {
  try {
    await json(`v1/voices/${encodeURIComponent(name)}`, { method: "DELETE" });
    await showSpeakers(document, container);
  } catch (error) {
    showError(error, () => forget(document, container, name));
  }
}
