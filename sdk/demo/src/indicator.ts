// What the connection indicator says, from the client's events. Pure: times are given, nothing is shown.

/** How long (ms) the end of a break is told beside `connected`. */
export const NOTE_TIME = 10_000;

export type Indicator =
  | { readonly kind: "idle" | "connecting" }
  | { readonly kind: "resuming"; readonly isExcused?: true }
  | { readonly kind: "connected"; readonly note?: Note }
  | { readonly kind: "reconnecting"; readonly until: number; readonly attempt: number; readonly code?: number | string }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

interface Note { readonly what: "resumed" | "gap"; readonly detail: string; readonly until: number }

export type ConnectionEvent =
  | { readonly name: "opened" }
  | { readonly name: "connected" }
  | { readonly name: "reconnecting"; readonly attempt: number; readonly delayMs: number; readonly code?: number | string }
  | { readonly name: "reconnected" }
  | { readonly name: "resumed" }
  | { readonly name: "answered" }
  | { readonly name: "gap"; readonly room: string; readonly from: number; readonly to: number; readonly conflated?: boolean }
  | { readonly name: "reset"; readonly room: string; readonly lost: number }
  | { readonly name: "failed"; readonly code: string; readonly message: string };

export function nextIndicator(last: Indicator, event: ConnectionEvent, now: number): Indicator {
  switch (event.name) {
    case "opened": return { kind: "connecting" };
    case "connected": return { kind: "connected" };
    case "reconnecting": {
      const { attempt, delayMs, code } = event;
      return { kind: "reconnecting", until: now + delayMs, attempt, ...(code === undefined ? {} : { code }) };
    }
    case "reconnected": return { kind: "resuming" };
    // What is left out of a state room ends the client's own word for it; nothing of a chat is missing then.
    // Without such an excuse the client speaks itself, or a hole is yet to be told.
    case "answered":
      if (last.kind !== "resuming" || !last.isExcused) return last;
    // falls through
    case "resumed":
      return { kind: "connected", note: { what: "resumed", detail: "Nothing was missed.", until: now + NOTE_TIME } };
    case "gap": {
      // Of a state room: newer values stand for what is left out.
      if (event.conflated) return excused(last);
      const { from, to, room } = event;
      const which = from === to ? `Message ${from}` : `Messages ${from} to ${to}`;
      const detail = `${which} of ${room} could not be delivered.`;
      return { kind: "connected", note: { what: "gap", detail, until: now + NOTE_TIME } };
    }
    case "reset": {
      if (event.lost === 0) return excused(last);
      const detail = `${event.room} began again without ${event.lost === 1 ? "a message" : `${event.lost} messages`} that it had.`;
      return { kind: "connected", note: { what: "gap", detail, until: now + NOTE_TIME } };
    }
    case "failed": return { kind: "failed", code: event.code, message: event.message };
  }
}

const excused = (last: Indicator): Indicator => (last.kind === "resuming" ? { ...last, isExcused: true } : last);

/** The same without a note that is over. */
export function withoutOldNote(indicator: Indicator, now: number): Indicator {
  return indicator.kind === "connected" && indicator.note && now >= indicator.note.until ? { kind: "connected" } : indicator;
}

/** What is read; `connected` occurs in it only while the client is. */
export function indicatorText(indicator: Indicator, now: number): string {
  switch (indicator.kind) {
    case "idle": return "waiting";
    case "connecting": return "connecting";
    case "resuming": return "resuming";
    case "connected": return indicator.note ? `connected · ${indicator.note.what}` : "connected";
    case "reconnecting": {
      // An attempt is under way at 0.
      const seconds = Math.max(0, Math.ceil((indicator.until - now) / 1000));
      return `reconnecting in ${seconds} s`;
    }
    case "failed": return `stopped: ${indicator.code}`;
  }
}
