// The one kind of errors that the client rejects with. Its `code` is stable; its text is not.

/** An error with a stable code: one of the node's, or of the client's own. */
export interface RoomcastError extends Error {
  /** What went wrong, in a word that stays the same. */
  readonly code: string;
}

export function failure(code: string, message: string = code): RoomcastError {
  return Object.assign(new Error(message), { code });
}
