// A client of `/v1/live` for any web page. docs/live-protocol.md has the messages.

export class LiveClient {
  /**
   * Connects to a server, and sends the options of the turns: `mode`, `sample_rate`, `token`, ...
   * `onEvent` gets each event. `onClose` gets null, or an Error that has the message of the server.
   */
  constructor(server, options, { onEvent = () => {}, onClose = () => {} } = {}) {
    const url = new URL("v1/live", server);
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.isClosed = false;
    let isReady = false;
    let message = null;
    /** Resolves when the server is ready for audio. */
    this.ready = new Promise((resolve, reject) => {
      this.socket.onopen = () => this.socket.send(JSON.stringify(options));
      this.socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.event === "error") message = event.message;
        else if (event.event === "ready") {
          isReady = true;
          resolve();
        } else if (!this.isClosed) onEvent(event);
      };
      this.socket.onclose = ({ code }) => {
        const error = message || code !== 1000 ? new Error(message ?? "") : null;
        if (!isReady) reject(error ?? new Error(""));
        else if (!this.isClosed) onClose(error);
      };
    });
  }

  /** True while the connection is open, or being made. */
  get isAlive() {
    return this.socket.readyState <= WebSocket.OPEN;
  }

  /** Sends samples: an Int16Array, or its buffer. */
  push(samples) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(samples);
  }

  /** Starts (`begin`) or ends (`end`) a turn, cancels it (`interrupt`), or ends the audio (`finish`). */
  send(type) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type }));
  }

  /** Closes the connection, which cancels the turn and its answer; nothing more is reported. */
  close() {
    this.isClosed = true;
    this.socket.close();
  }
}
