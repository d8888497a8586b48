// Client of the server: JSON, server-sent events, uploads with progress, readable errors.

import { $ } from "./dom.js";

const KEY = "wavrag-token";
export const UNREACHABLE = "The server does not respond. Check that “wavrag serve” is still running, then try again.";

export const token = () => sessionStorage.getItem(KEY);

/** Shows the token dialog, and says so if the current token was refused; one dialog at a time. */
let tokenRequest = null;
export function askForToken() {
  tokenRequest ??= new Promise((resolve) => {
    const dialog = $("token");
    $("token-refused").hidden = !token();
    const save = () => {
      sessionStorage.setItem(KEY, $("token-value").value.trim());
      $("token-value").value = "";
      tokenRequest = null;
      resolve();
    };
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", save, { once: true });
    dialog.showModal();
  });
  return tokenRequest;
}

const COLLECTION_KEY = "wavrag-collection";
export const collection = () => sessionStorage.getItem(COLLECTION_KEY);

/** Chooses the collection of all later requests; null for the only one. */
export function chooseCollection(name) {
  if (name === null) sessionStorage.removeItem(COLLECTION_KEY);
  else sessionStorage.setItem(COLLECTION_KEY, name);
}

/** The path of an operation in the chosen collection. */
const inCollection = (path) =>
  collection() === null || path.startsWith("v1/collections") ? path : path.replace(/^v1\//, `v1/collections/${collection()}/`);

/** The address to which clients add `v1/live`. */
export const serverUrl = () => new URL(collection() === null ? "" : `v1/collections/${collection()}/`, location.href).href;

const headers = () => (token() ? { authorization: `Bearer ${token()}` } : {});

/** Fetches a reply with a status below 400; asks for a token if the server requires one. */
export async function call(path, options = {}) {
  let reply;
  try {
    reply = await fetch(inCollection(path), { ...options, headers: { ...options.headers, ...headers() } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(UNREACHABLE);
  }
  if (reply.status === 401) {
    await askForToken();
    return call(path, options);
  }
  if (!reply.ok) throw new Error(errorMessage(await reply.text()) ?? `The server rejected the request (${reply.status}).`);
  return reply;
}

export const json = async (path, options) => (await call(path, options)).json();

function errorMessage(text) {
  try {
    const sentence = JSON.parse(text).error?.message;
    return sentence ? sentence[0].toUpperCase() + sentence.slice(1) : null;
  } catch {
    return null;
  }
}

export const documentPath = (id) => inCollection(`v1/documents/${encodeURIComponent(id)}`);

/** Streams the events of an answer as pairs of name and data. EventSource cannot send a POST. */
export async function* ask(body, signal) {
  const reply = await call("v1/ask", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
  });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let isComplete = false;
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(UNREACHABLE);
    }
    if (chunk.done) break;
    const blocks = (buffer + chunk.value).split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
      if (!name) continue; // a keep-alive comment
      if (name === "error") throw new Error(errorMessage(data.join("\n")) ?? "The answer failed.");
      isComplete ||= name === "answer";
      yield [name, JSON.parse(data.join("\n"))];
    }
  }
  if (!isComplete) throw new Error(UNREACHABLE);
}

/** Uploads a file and returns its job; calls `onProgress` with the fraction sent, from 0 to 1. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not report upload progress
    request.open("POST", inCollection("v1/documents"));
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Error(UNREACHABLE));
    request.onload = async () => {
      if (request.status === 401) {
        await askForToken();
        upload(file, onProgress).then(resolve, reject);
      } else if (request.status === 202) resolve(JSON.parse(request.responseText));
      else reject(new Error(errorMessage(request.responseText) ?? `The server rejected the request (${request.status}).`));
    };
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}
