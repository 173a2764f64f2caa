// The one class of errors that the client rejects with. Its `code` is stable; its text is not.

/** An error with a stable code: one of the node's, or of the client's own. */
export class RoomcastError extends Error {
  readonly code: string;

  constructor(code: string, message: string = code) {
    super(message);
    this.name = "RoomcastError";
    this.code = code;
  }
}
