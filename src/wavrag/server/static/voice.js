// The WebSocket of voice turns: `/v1/live` on the server.

import { GONE, askForToken, token } from "./api.js";

export class Voice {
  /** Tells events of turns (with `session`, which tells turns of different connections apart). */
  constructor(onEvent, onLost) {
    this.onEvent = onEvent;
    this.onLost = onLost;
    this.socket = null;
    this.key = "";
    this.session = 0;
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Connects, unless a connection of the same key stands. */
  connect(key, options) {
    if (this.socket && this.key === key && this.socket.readyState <= WebSocket.OPEN) return this.ready;
    this.close();
    this.key = key;
    this.session += 1;
    this.ready = this.#connect(options, this.session);
    return this.ready;
  }

  #connect(options, session) {
    return new Promise((resolve, reject) => {
      const url = new URL("v1/live", location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(url);
      let said = null;
      let ready = false;
      this.socket = socket;
      socket.onopen = () => socket.send(JSON.stringify({ ...options, token: token() ?? undefined }));
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.event === "ready") {
          ready = true;
          resolve();
        } else if (event.event === "error") said = event.message;
        else if (this.socket === socket) this.onEvent({ ...event, session });
      };
      socket.onclose = async ({ code }) => {
        const ours = this.socket === socket;
        if (ours) this.socket = null;
        if (!ready && said?.includes("token")) {
          await askForToken();
          this.#connect(options, session).then(resolve, reject);
          return;
        }
        const error = new Error(said ? said[0].toUpperCase() + said.slice(1) : code === 1008 ? "The server refused the connection." : GONE);
        if (!ready) reject(error);
        else if (ours) this.onLost(error);
      };
    });
  }

  push(pcm) {
    if (this.isOpen) this.socket.send(pcm);
  }

  tell(type) {
    if (this.isOpen) this.socket.send(JSON.stringify({ type }));
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
