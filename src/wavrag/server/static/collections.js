// The picker of collections, on a server of several knowledge bases.

import { showError } from "./alerts.js";
import { call, chooseCollection, collection, json } from "./api.js";
import { $, h, isConfirmed } from "./dom.js";

/** Shows the picker if there is a choice, and chooses a collection. */
export async function setUpCollections() {
  const { collections, can_create: canCreate } = await json("v1/collections");
  const names = collections.map(({ name }) => name);
  const isSingle = names.length === 1 && names[0] === "default" && !canCreate;
  if (isSingle) chooseCollection(null);
  else if (!names.includes(collection())) chooseCollection(names[0] ?? null);
  $("collections").hidden = isSingle;
  $("new-collection").hidden = !canCreate;
  $("delete-collection").hidden = !canCreate || !names.length;
  $("collection").replaceChildren(...names.map((name) => h("option", { selected: name === collection() }, name)));
  return isSingle || names.length > 0;
}

function open(name) {
  chooseCollection(name);
  location.reload(); // nothing of the other collection stays on the page
}

async function create() {
  if (!(await isConfirmed($("name-collection")))) return;
  const name = $("collection-name").value.trim();
  const body = JSON.stringify({ name });
  await json("v1/collections", { method: "POST", headers: { "content-type": "application/json" }, body });
  open(name);
}

async function remove() {
  $("confirm-text").textContent = `Delete the collection “${collection()}” with all its documents?`;
  if (!(await isConfirmed($("confirm")))) return;
  await call(`v1/collections/${collection()}`, { method: "DELETE" });
  open(null);
}

$("collection").addEventListener("change", (event) => open(event.target.value));
$("new-collection").addEventListener("click", () => create().catch((error) => showError(error)));
$("delete-collection").addEventListener("click", () => remove().catch((error) => showError(error)));
