// The server, spoken to: JSON, server-sent events, uploads with progress. Errors in words.

import { $ } from "./dom.js";

const KEY = "wavrag-token";
export const GONE = "The server does not answer. Check that “wavrag serve” is still running, then try again.";

export const token = () => sessionStorage.getItem(KEY);

/** Asks for a token, again if the one there is was refused. */
let asking = null;
export function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = $("token");
    const done = () => {
      sessionStorage.setItem(KEY, $("token-value").value.trim());
      $("token-value").value = "";
      asking = null;
      resolve();
    };
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", done, { once: true });
    dialog.showModal();
  });
  return asking;
}

const headers = () => (token() ? { authorization: `Bearer ${token()}` } : {});

/** A reply that is well; asks for a token where one is wanted. */
export async function call(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(GONE);
  }
  if (reply.status === 401) {
    await askForToken();
    return call(path, options);
  }
  if (!reply.ok) throw new Error(message(await reply.text()) ?? `The server refused (${reply.status}).`);
  return reply;
}

export const json = async (path, options) => (await call(path, options)).json();

function message(text) {
  try {
    const said = JSON.parse(text).error?.message;
    return said ? said[0].toUpperCase() + said.slice(1) : null;
  } catch {
    return null;
  }
}

export const documentPath = (id) => `v1/documents/${encodeURIComponent(id)}`;

/** The events of an answer, as pairs of name and data. */
export async function* ask(body, signal) {
  const reply = await call("v1/ask", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
  });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(GONE);
    }
    if (piece.done) break;
    const blocks = (rest + piece.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (!name) continue; // a comment: the server is still writing
      if (name === "error") throw new Error(message(data.join("\n")) ?? "The answer failed.");
      ended ||= name === "answer";
      yield [name, JSON.parse(data.join("\n"))];
    }
  }
  if (!ended) throw new Error(GONE);
}

/** Uploads one file; tells how much of it has been sent, from 0 to 1, and returns its job. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of what was sent
    request.open("POST", "v1/documents");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Error(GONE));
    request.onload = async () => {
      if (request.status === 401) {
        await askForToken();
        upload(file, onProgress).then(resolve, reject);
      } else if (request.status === 202) resolve(JSON.parse(request.responseText));
      else reject(new Error(message(request.responseText) ?? `The server refused (${request.status}).`));
    };
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}
