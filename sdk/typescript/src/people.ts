// The people of one room as its members see them: the list and when it is asked for, who is typing,
// how far the user has read. Knows the room only by what it is given.
import { env, type Timer } from "./environment.js";
import type { Counts, JoinedFrame, MembersFrame, ServerFrame, TypingFrame } from "./frames.js";
import { makeMemberList } from "./members.js";
import type { ReadMarks, RoomEvents } from "./types.js";

const STALE_LIST_MS = 1e3;
const TYPING_INTERVAL_MS = 1e3;

export interface PeopleOwner {
  /** Asks for a page of the member list. */
  _page(page?: string): Promise<ServerFrame>;
  _emit<K extends keyof RoomEvents>(name: K, event: RoomEvents[K]): void;
  _changed(): void;
}

export type People = ReturnType<typeof makePeople>;

export function makePeople(owner: PeopleOwner) {
  let list = makeMemberList();
  let marks: ReadMarks = { received: 0, read: 0, unread: 0 };
  // The last seq that counts in `unread`; undefined where the room keeps no such numbers.
  let last: number | undefined;
  let typed = -Infinity;
  let timer: Timer | undefined;
  const typing = new Map<string, RoomEvents["typing"]>();

  const tell = () => {
    owner._emit("presence", undefined);
    owner._changed();
  };

  const mark = (received: number, read: number, unread: number) => {
    owner._emit("read", (marks = { received, read, unread }));
    owner._changed();
  };

  /** Reads the whole list after so long; another reading takes the place of this one. */
  const readAfter = (ms: number) => {
    env._cancel(timer);
    const mine = (timer = env._later(async () => {
      const pages: MembersFrame[] = [];
      let page: string | undefined;
      try {
        do {
          const frame = await owner._page(page);
          if (timer != mine || frame.type != "members") return;
          pages.push(frame);
          page = frame.more;
        } while (page);
        if (!list._take(pages)) readAfter(STALE_LIST_MS);
        tell();
      } catch {
        // A page that was asked for too late begins again; a room without a list has none.
        if (timer == mine && page) readAfter(STALE_LIST_MS);
      }
    }, ms));
  };

  const onTyping = ({ user, connection, active }: Omit<TypingFrame, "type" | "room">) => {
    const name = user ?? connection ?? "";
    const event = { ...(user !== undefined && { user }), ...(connection !== undefined && { connection }), active };
    if (active) typing.set(name, event);
    else if (!typing.delete(name)) return;
    owner._emit("typing", event);
  };

  /** Nothing more is heard: nobody is known to type, and a list is not read to its end. */
  const lost = () => {
    env._cancel(timer);
    timer = undefined;
    typed = -Infinity;
    typing.forEach((event) => onTyping({ ...event, active: false }));
  };

  return {
    _list: () => list,
    _marks: () => marks,
    _lost: lost,

    _joined(frame: JoinedFrame, hasPresence: boolean | undefined) {
      const { received, read, unread, seq } = frame;
      if (received !== undefined && read !== undefined && unread !== undefined) {
        last = Math.max(seq, read + unread);
        mark(received, read, unread);
      }
      if (list._joined(frame as Counts) && hasPresence) readAfter(0);
      tell();
    },

    _left() {
      lost();
      list = makeMemberList();
      last = undefined;
      tell();
    },

    _onFrame(frame: ServerFrame, hasPresence: boolean | undefined) {
      switch (frame.type) {
        case "user_joined":
        case "user_left":
        case "count":
        case "presence":
          if (list._change(frame)) tell();
          return;
        case "presence_reset":
          list._reset();
          if (hasPresence) readAfter(frame.after_ms);
          return;
        case "typing":
          return onTyping(frame);
        case "received":
          last = Math.max(last ?? 0, frame.seq);
          mark(frame.seq, frame.read, last - frame.read);
      }
    },

    /** A message has come that the user has not read. */
    _arrived(seq: number) {
      if (last === undefined || seq <= last) return;
      last = seq;
      marks = { ...marks, unread: marks.unread + 1 };
      owner._changed();
    },

    /** Whether the node is to be told that the user writes: not at each key. */
    _isToTell(active: boolean): boolean {
      const now = env._now();
      if (active && now - typed < TYPING_INTERVAL_MS) return false;
      typed = active ? now : -Infinity;
      return true;
    },
  };
}
