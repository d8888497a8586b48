// The WebSocket of voice turns: `/v1/live` on the server.

import { UNREACHABLE, askForToken, token } from "./api.js";

export class Voice {
  /** Calls `onEvent` with events of turns; `session` distinguishes turns of different connections. */
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

  /** Connects, unless a connection with the same key is open. */
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
      let serverError = null;
      let isReady = false;
      this.socket = socket;
      socket.onopen = () => socket.send(JSON.stringify({ ...options, token: token() ?? undefined }));
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.event === "ready") {
          isReady = true;
          resolve();
        } else if (event.event === "error") serverError = event.message;
        else if (this.socket === socket) this.onEvent({ ...event, session });
      };
      socket.onclose = async ({ code }) => {
        const isCurrent = this.socket === socket;
        if (isCurrent) this.socket = null;
        if (!isReady && serverError?.includes("token")) {
          await askForToken();
          this.#connect(options, session).then(resolve, reject);
          return;
        }
        const error = new Error(serverError ? serverError[0].toUpperCase() + serverError.slice(1) : code === 1008 ? "The server rejected the connection." : UNREACHABLE);
        if (!isReady) reject(error);
        else if (isCurrent) this.onLost(error);
      };
    });
  }

  push(pcm) {
    if (this.isOpen) this.socket.send(pcm);
  }

  send(type) {
    if (this.isOpen) this.socket.send(JSON.stringify({ type }));
  }

  close() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
