// Questions under way: each is answered once. Reads and confirmations are asked again on the next
// link, and after a refusal that passes; what belongs to one link ends with it.
import { RoomcastError } from "./errors.js";
import type { ClientFrame, ErrorFrame, ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { Environment } from "./types.js";

const DEFAULT_RETRY_MS = 1e3;

/** A room, as far as a question needs to be asked by a member. */
export interface Membership {
  _isMember(link: Link): boolean;
}

interface Request {
  _frame: ClientFrame;
  _resolve(frame: ServerFrame): void;
  _reject(error: RoomcastError): void;
  _room?: Membership | undefined;
  _link?: Link | undefined;
  _isBound?: boolean;
  _pause?: unknown;
}

export class Requests {
  /** @internal */
  _pending = new Map<number, Request>();

  constructor(
    /** @internal */ readonly _environment: Environment,
    /** @internal */ readonly _nextId: () => number,
    /** @internal */ readonly _flush: () => void,
  ) {}

  /** Asks as soon as there is a link; with a room, as soon as that is joined on it. */
  _ask(frame: ClientFrame, room?: Membership): Promise<ServerFrame> {
    return this._add(frame, { _room: room });
  }

  /** Asks on this link, or not at all. */
  _askOn(link: Link, frame: ClientFrame): Promise<ServerFrame> {
    const answer = this._add(frame, { _link: link, _isBound: true });
    link._send(frame);
    return answer;
  }

  _send(link: Link): void {
    for (const request of this._pending.values()) {
      const { _room, _frame, _pause, _link } = request;
      if (_link || _pause || (_room && !_room._isMember(link))) continue;
      request._link = link;
      link._send(_frame);
    }
  }

  /** Whether the frame answers a question. */
  _answered(id: number, frame: ServerFrame): boolean {
    const request = this._pending.get(id);
    if (!request) return false;
    this._pending.delete(id);
    request._resolve(frame);
    return true;
  }

  _refused(id: number, { code, message, retry_after_ms }: ErrorFrame): boolean {
    const request = this._pending.get(id);
    if (!request) return false;
    if (!request._isBound && (retry_after_ms !== undefined || code == "bus_unavailable")) {
      request._link = undefined;
      request._pause = this._environment.setTimeout(() => {
        request._pause = undefined;
        this._flush();
      }, retry_after_ms ?? DEFAULT_RETRY_MS);
    } else this._fail(id, new RoomcastError(code, message));
    return true;
  }

  _lost(link: Link): void {
    for (const [id, request] of this._pending) {
      if (request._link != link) continue;
      request._link = undefined;
      if (request._isBound) this._fail(id, new RoomcastError("closed", "the connection is lost"));
    }
  }

  /** The room is left: what needs its membership has no answer. */
  _left(room: Membership): void {
    for (const [id, { _room }] of this._pending) {
      if (_room == room) this._fail(id, new RoomcastError("not_joined", "the room was left"));
    }
  }

  _end(error: RoomcastError): void {
    for (const id of [...this._pending.keys()]) this._fail(id, error);
  }

  /** @internal */
  _add(frame: ClientFrame, request: Partial<Request>): Promise<ServerFrame> {
    const id = (frame.id = this._nextId());
    const answer = new Promise<ServerFrame>((_resolve, _reject) => {
      this._pending.set(id, { _frame: frame, _resolve, _reject, ...request });
    });
    if (!request._isBound) this._flush();
    return answer;
  }

  /** @internal */
  _fail(id: number, error: RoomcastError): void {
    const request = this._pending.get(id);
    this._pending.delete(id);
    this._environment.clearTimeout(request?._pause);
    request?._reject(error);
  }
}
