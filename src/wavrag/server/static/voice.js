// The page's connection for voice turns.

import { UNREACHABLE, askForToken, serverUrl, token } from "./api.js";
import { LiveClient } from "./live-client.js";

export class Voice {
  /** Calls `onEvent` with events of turns; `session` distinguishes turns of different connections. */
  constructor(onEvent, onLost) {
    this.onEvent = onEvent;
    this.onLost = onLost;
    this.client = null;
    this.key = "";
    this.session = 0;
  }

  /** Connects, unless a connection with the same key is open. */
  connect(key, options) {
    if (this.client?.isAlive && this.key === key) return this.ready;
    this.close();
    this.key = key;
    this.session += 1;
    this.ready = this.#connect(options, this.session);
    return this.ready;
  }

  async #connect(options, session) {
    const client = new LiveClient(serverUrl(), { ...options, token: token() ?? undefined }, {
      onEvent: (event) => this.onEvent({ ...event, session }),
      onClose: (error) => {
        this.client = null;
        this.onLost(readable(error));
      },
    });
    this.client = client;
    try {
      await client.ready;
    } catch (error) {
      if (this.client === client) this.client = null;
      if (!error.message.includes("token")) throw readable(error);
      await askForToken();
      return this.#connect(options, session);
    }
  }

  push(pcm) {
    this.client?.push(pcm);
  }

  send(type) {
    this.client?.send(type);
  }

  close() {
    this.client?.close();
    this.client = null;
  }
}

/** An error as a sentence. */
function readable(error) {
  const message = error?.message;
  return new Error(message ? message[0].toUpperCase() + message.slice(1) : UNREACHABLE);
}
