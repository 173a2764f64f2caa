// The people of one room as its members see them: the list and when it is asked for, who is typing,
// how far the user has read. Knows the room only by what it is given.
import type { Marks, MembersFrame, ServerFrame, TypingFrame } from "./frames.js";
import { MemberList } from "./members.js";
import type { Environment, ReadMarks, RoomEvents } from "./types.js";

const STALE_LIST_MS = 1e3;
const TYPING_INTERVAL_MS = 1e3;

export interface PeopleOwner {
  readonly _environment: Environment;
  /** Asks for a page of the member list. */
  _page(page?: string): Promise<ServerFrame>;
  _emit<K extends keyof RoomEvents>(name: K, event: RoomEvents[K]): void;
  _changed(): void;
}

export class People {
  _list = new MemberList();
  _marks: ReadMarks = { received: 0, read: 0, unread: 0 };
  // The last seq that counts in `unread`; undefined where the room keeps no such numbers.
  /** @internal */
  _last: number | undefined;
  /** @internal */
  _typing = new Map<string, RoomEvents["typing"]>();
  /** @internal */
  _typed = -Infinity;
  // The reading of the list that counts; another takes its place.
  /** @internal */
  _reading: object | undefined;
  /** @internal */
  _timer: unknown;

  constructor(
    /** @internal */ readonly _owner: PeopleOwner,
  ) {}

  /** Reads the whole list after so long. */
  _read(afterMs: number): void {
    const { setTimeout, clearTimeout } = this._owner._environment;
    const reading = (this._reading = {});
    clearTimeout(this._timer);
    const isOver = () => this._reading !== reading;
    const read = async () => {
      const pages: MembersFrame[] = [];
      try {
        let page: string | undefined;
        do {
          const frame = await this._owner._page(page);
          if (isOver() || frame.type != "members") return;
          pages.push(frame);
          page = frame.more;
        } while (page);
      } catch {
        // A page that came too late, or a room that keeps no list.
        if (!isOver() && pages.length) this._read(STALE_LIST_MS);
        return;
      }
      if (!this._list._list(pages)) this._read(STALE_LIST_MS);
      this._tell();
    };
    if (afterMs) this._timer = setTimeout(read, afterMs);
    else void read();
  }

  /** Takes a frame about people; whether it was one. */
  _onFrame(frame: ServerFrame, hasPresence: boolean | undefined): void {
    switch (frame.type) {
      case "user_joined":
      case "user_left":
      case "count":
      case "presence":
        if (this._list._change(frame)) this._tell();
        return;
      case "presence_reset":
        this._list._reset();
        if (hasPresence) this._read(frame.after_ms);
        return;
      case "typing":
        this._onTyping(frame);
        return;
      case "received":
        this._confirmed(frame.seq, frame.read);
    }
  }

  /** The numbers of a `joined`. */
  _joined(marks: Marks, seq: number): void {
    const { received, read, unread } = marks;
    if (received === undefined || read === undefined || unread === undefined) return;
    this._last = Math.max(seq, read + unread);
    this._marks = { received, read, unread };
    this._owner._emit("read", this._marks);
  }

  _confirmed(received: number, read: number): void {
    this._last = Math.max(this._last ?? 0, received, read);
    this._marks = { received, read, unread: this._last - read };
    this._owner._emit("read", this._marks);
    this._owner._changed();
  }

  /** A message that the user has not read. */
  _arrived(seq: number): void {
    if (this._last === undefined || seq <= this._last) return;
    this._last = seq;
    this._marks = { ...this._marks, unread: this._marks.unread + 1 };
    this._owner._changed();
  }

  /** Whether a word that the user writes is to be told: not at each key. */
  _isToTell(active: boolean): boolean {
    const now = this._owner._environment.now();
    if (active && now - this._typed < TYPING_INTERVAL_MS) return false;
    this._typed = active ? now : -Infinity;
    return true;
  }

  /** Nothing more is heard: nobody is known to type, and a list is not read to its end. */
  _lost(): void {
    this._owner._environment.clearTimeout(this._timer);
    this._reading = undefined;
    this._typed = -Infinity;
    for (const event of [...this._typing.values()]) this._onTyping({ ...event, active: false });
  }

  _left(): void {
    this._lost();
    this._list = new MemberList();
    this._last = undefined;
    this._tell();
  }

  _tell(): void {
    this._owner._emit("presence", undefined);
    this._owner._changed();
  }

  /** @internal */
  _onTyping({ user, connection, active }: Pick<TypingFrame, "user" | "connection" | "active">): void {
    const name = user ?? connection ?? "";
    const event = { ...(user !== undefined && { user }), ...(connection !== undefined && { connection }), active };
    if (active) this._typing.set(name, event);
    else if (!this._typing.delete(name)) return;
    this._owner._emit("typing", event);
  }
}
