// The people of one room as its members see them: the list and when it is asked for, who is typing,
// how far the user has read. Knows the room only by what it is given.
import { cancel, later, type Timer } from "./clock.js";
import type { Emitter } from "./emitter.js";
import type { JoinedFrame, ServerFrame } from "./frames.js";
import type { MemberList } from "./members.js";
import type { MemberPage, ReadMarks, RoomEvents } from "./types.js";

const enum Pause {
  StaleListMs = 1e3,
}

export type People = ReturnType<typeof makePeople>;

/** `askPage` asks for a page of the member list; it gives none where nobody wants one. */
export function makePeople({ _emit }: Emitter<RoomEvents>, list: MemberList, askPage: (page?: string) => Promise<MemberPage | undefined>) {
  let marks: ReadMarks = { received: 0, read: 0, unread: 0 };
  // The last seq that counts in `unread`; undefined where the room keeps no such numbers.
  let last: number | undefined;
  let timer: Timer | undefined;
  const typing = new Map<string, RoomEvents["typing"]>();

  const tell = () => _emit("presence");

  const mark = (received: number, read: number, unread: number) => {
    _emit("read", (marks = { received, read, unread }));
  };

  /** Reads the whole list after so long; another reading takes the place of this one. */
  const readAfter = (ms: number) => {
    cancel(timer);
    const mine = (timer = later(async () => {
      const pages: MemberPage[] = [];
      let page: string | undefined;
      try {
        do {
          const frame = await askPage(page);
          if (timer != mine || !frame) return;
          pages.push(frame);
          page = frame.more;
        } while (page);
        if (!list._take(pages)) readAfter(Pause.StaleListMs);
        tell();
      } catch {
        // A page that was asked for too late begins again; a room without a list has none.
        if (timer == mine && page) readAfter(Pause.StaleListMs);
      }
    }, ms));
  };

  const onTyping = (event: RoomEvents["typing"]) => {
    const name = event.user ?? event.connection ?? "";
    if (event.active) typing.set(name, event);
    else if (!typing.delete(name)) return;
    _emit("typing", event);
  };

  /** The node does not say so of somebody who leaves, or has sent what was being written. */
  const endTyping = (name = "") => {
    const event = typing.get(name);
    if (event) onTyping({ ...event, active: false });
  };

  /** Nothing more is heard: nobody is known to type, and a list is not read to its end. */
  const lost = () => {
    timer = cancel(timer);
    typing.forEach((_, name) => endTyping(name));
  };

  return {
    _marks: () => marks,
    _lost: lost,

    _joined(frame: JoinedFrame) {
      const { received = 0, read, unread = 0, seq } = frame;
      if (read !== undefined) {
        last = Math.max(seq, read + unread);
        mark(received, read, unread);
      }
      if (list._joined(frame)) readAfter(0);
      tell();
    },

    _end() {
      lost();
      list._end();
      last = undefined;
      tell();
    },

    _onFrame(frame: ServerFrame) {
      switch (frame.type) {
        case "user_joined":
        case "user_left":
        case "count":
        case "presence":
          if (frame.type == "user_left") endTyping(frame.user);
          if (list._onFrame(frame)) tell();
          return;
        case "presence_reset":
          list._reset();
          readAfter(frame.after_ms);
          return;
        case "typing": {
          const { type: _, room: __, ...event } = frame;
          return onTyping(event);
        }
        case "received":
          last = Math.max(last ?? 0, frame.seq);
          mark(frame.seq, frame.read, last - frame.read);
      }
    },

    /** The room goes on from this number, by a message of this author or by a hole. */
    _message(seq: number, author?: string) {
      endTyping(author);
      if (last === undefined || seq <= last) return;
      mark(marks.received, marks.read, marks.unread + seq - last);
      last = seq;
    },

    /** The room goes on in another numbering, from here. */
    _reset(seq: number) {
      if (last === undefined) return;
      const read = Math.min(marks.read, seq);
      last = seq;
      mark(Math.min(marks.received, seq), read, seq - read);
    },
  };
}
