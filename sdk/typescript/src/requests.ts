// Questions under way: each is answered once. Reads and confirmations are asked again on the next
// link, and after a refusal that passes; what belongs to one link ends with it.
import { env, type Timer } from "./environment.js";
import { RoomcastError } from "./errors.js";
import type { ClientFrame, ErrorFrame, ServerFrame } from "./frames.js";
import type { Link } from "./link.js";

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
  /** Asked on its link, or not at all. */
  _isBound?: boolean;
  _pause?: Timer | undefined;
}

export type Requests = ReturnType<typeof makeRequests>;

export function makeRequests(nextId: () => number, flush: () => void) {
  const pending = new Map<number, Request>();
  const fail = (id: number, request: Request, code: string, message?: string) => {
    pending.delete(id);
    env._cancel(request._pause);
    request._reject(new RoomcastError(code, message));
  };

  return {
    /** Asks as soon as there is a link; with a room, as soon as that is joined on it. A link given is the only one. */
    _ask(frame: ClientFrame, room?: Membership, link?: Link): Promise<ServerFrame> {
      frame.id = nextId();
      return new Promise<ServerFrame>((_resolve, _reject) => {
        pending.set(frame.id!, { _frame: frame, _resolve, _reject, _room: room, _link: link, _isBound: !!link });
        if (link) link._send(frame);
        else flush();
      });
    },

    _send(link: Link) {
      for (const request of pending.values()) {
        const { _room, _frame, _pause, _link } = request;
        if (_link || _pause || (_room && !_room._isMember(link))) continue;
        request._link = link;
        link._send(_frame);
      }
    },

    /** Whether the frame answers a question. */
    _answered(id: number, frame: ServerFrame): boolean {
      const request = pending.get(id);
      pending.delete(id);
      request?._resolve(frame);
      return !!request;
    },

    _refused({ id = 0, code, message, retry_after_ms }: ErrorFrame): boolean {
      const request = pending.get(id);
      if (!request) return false;
      if (request._isBound || (retry_after_ms === undefined && code != "bus_unavailable")) fail(id, request, code, message);
      else {
        request._link = undefined;
        request._pause = env._later(() => {
          request._pause = undefined;
          flush();
        }, retry_after_ms ?? DEFAULT_RETRY_MS);
      }
      return true;
    },

    _lost(link: Link) {
      for (const [id, request] of pending) {
        if (request._link != link) continue;
        request._link = undefined;
        if (request._isBound) fail(id, request, "closed");
      }
    },

    /** The room is left: what needs its membership has no answer. */
    _left(room: Membership) {
      for (const [id, request] of pending) if (request._room == room) fail(id, request, "not_joined");
    },

    _end({ code, message }: RoomcastError) {
      for (const [id, request] of pending) fail(id, request, code, message);
    },
  };
}
