// The rows of a conversation: messages in order, between them what is missing, and whether a message
// continues the one above it. Pure; it must not know the page.
import type { Message } from "@roomcast/client";
import type { Outgoing } from "./outbox";

/** Messages of one author within this time (ms) stand together. */
const TOGETHER = 5 * 60_000;

export interface Notice {
  readonly id: string;
  readonly epoch: string;
  /** It stands before the first message above this one. */
  readonly seq: number;
  readonly text: string;
}

export type Row =
  | { readonly kind: "message"; readonly id: string; readonly message: Message; readonly continues: boolean; readonly day: string }
  | { readonly kind: "notice"; readonly id: string; readonly text: string };

export const idOf = ({ epoch, seq }: { epoch: string; seq: number }): string => `${epoch}:${seq}`;

/** `epoch` is the room's present one: what is missing after the last message stands at the end. */
export function rowsOf(messages: readonly Message[], notices: readonly Notice[], epoch: string): Row[] {
  const rows: Row[] = [];
  let open = [...notices];
  let last: Message | undefined;
  for (const message of messages) {
    const passed = open.filter((notice) => notice.epoch === message.epoch && notice.seq < message.seq);
    if (passed.length > 0) open = open.filter((notice) => !passed.includes(notice));
    // What was missing far above the first row is out of sight with the messages around it.
    const due = last ? passed : passed.filter(({ seq }) => seq === message.seq - 1);
    for (const { id, text } of due) rows.push({ kind: "notice", id, text });
    const day = last === undefined || dayOf(message.time) === dayOf(last.time) ? "" : DAY.format(message.time);
    const continues = due.length === 0 && day === "" && last !== undefined && last.user === message.user
      && message.user !== undefined && message.time - last.time < TOGETHER;
    rows.push({ kind: "message", id: idOf(message), message, continues, day });
    last = message;
  }
  for (const { id, text } of open.filter((notice) => notice.epoch === epoch)) rows.push({ kind: "notice", id, text });
  return rows;
}

const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
/** A number for each day of this place. Formatting is too slow to do it for every message. */
const dayOf = (time: number): number => Math.floor((time - new Date(time).getTimezoneOffset() * 60_000) / 86_400_000);

/** Own messages that are not among the room's yet; the room's last message tells which have come. */
export function pendingOf(outbox: readonly Outgoing[], room: string, messages: readonly Message[]): Outgoing[] {
  const last = messages.at(-1);
  const keys = new Set(messages.map(({ key }) => key).filter((key) => key !== undefined));
  return outbox.filter((item) => item.room === room && !keys.has(item.key)
    && !(item.state === "sent" && item.epoch === last?.epoch && (item.seq ?? 0) <= (last?.seq ?? 0)));
}

/** What a gap or a reset means to a reader. */
export const gapText = ({ from, to }: { from: number; to: number }): string =>
  from === to ? `Message ${from} is missing: the room no longer keeps it.`
    : `Messages ${from} to ${to} are missing: the room no longer keeps them.`;

export const resetText = ({ lost }: { lost: number }): string =>
  lost === 0 ? "The room began again; nothing above is lost."
    : `The room began again: ${lost === 1 ? "the last message" : `the last ${lost} messages`} above did not survive.`;
