// Which rows are in the page: always the newest of the list, and never many new ones at once, so that
// a flood of messages costs no long task. Pure; the list draws what this says.

/** Rows that one drawing may add. */
const STEP = 30;

export interface RowWindow {
  /** How many of the newest messages are rows. */
  readonly rows: number;
  /** The last message that was drawn. */
  readonly last: string;
}

export const EMPTY_WINDOW: RowWindow = { rows: 0, last: "" };

/**
 * After new messages the rows grow by them; if they are more than a step, only the newest are drawn.
 * Without new ones older rows come back, a step at a time.
 */
export function nextWindow(window: RowWindow, ids: readonly string[]): RowWindow {
  const last = ids.at(-1) ?? "";
  const at = window.last === "" ? -1 : ids.lastIndexOf(window.last);
  const news = ids.length - 1 - at;
  if (news > STEP) return { rows: STEP, last };
  const rows = Math.min(ids.length, window.rows + (news > 0 ? news : STEP));
  return rows === window.rows && last === window.last ? window : { rows, last };
}
