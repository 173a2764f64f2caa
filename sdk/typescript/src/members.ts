// Who is in a room, kept by revision: changes above the list's are applied, a list that is older
// than what is known is asked for again. Pure; somebody else asks and sets timers.
import type { Counts, CountFrame, MembersFrame, PresenceFrame, UserChangeFrame } from "./frames.js";
import { SharedMap } from "./shared-map.js";
import type { Member } from "./types.js";

export type MemberChange = UserChangeFrame | CountFrame | PresenceFrame;

export class MemberList {
  _map = new SharedMap<Member>();
  _count: number | undefined;
  _users: number | undefined;
  /** @internal */
  _rev = -1;
  /** @internal */
  _revEpoch: string | undefined;
  // What a list must have seen to be taken as whole.
  /** @internal */
  _needed = 0;
  // Changes since a list was wanted: a list may be a second old, so they are applied to it again.
  /** @internal */
  _since: MemberChange[] | undefined;
  /** @internal */
  _hasList = false;

  /** Takes the numbers of a `joined`; whether the list is to be asked for. */
  _joined(counts: Counts): boolean {
    const { rev, rev_epoch } = counts;
    this._count = counts.count;
    this._users = counts.users;
    if (rev === undefined || (rev == this._rev && rev_epoch == this._revEpoch && !this._since)) return false;
    this._wanted(rev, rev);
    this._revEpoch = rev_epoch;
    return true;
  }

  /** The list is no longer known: after this any revision counts. */
  _reset(): void {
    this._wanted(-1, 0);
  }

  /** Takes a change; whether something is different now. */
  _change(change: MemberChange): boolean {
    this._since?.push(change);
    return this._apply(change);
  }

  /** Takes a whole list; false if it is older than what was known when it was asked for. */
  _list(pages: MembersFrame[]): boolean {
    const [first] = pages;
    if (!first) return false;
    const isWhole = first.rev_epoch != this._revEpoch || first.rev >= this._needed;
    if (!isWhole && this._hasList) return false;
    const map = new Map<string, Member>();
    for (const { user, info, status } of pages.flatMap((page) => page.members)) {
      if (user !== undefined) map.set(user, member(user, info, status));
    }
    this._map._replace(map);
    this._rev = first.rev;
    this._revEpoch = first.rev_epoch;
    this._count = first.count;
    this._users = first.users;
    this._hasList = true;
    const since = this._since ?? [];
    if (isWhole) this._since = undefined;
    since.forEach((change) => this._apply(change));
    return isWhole;
  }

  /** @internal */
  _wanted(rev: number, needed: number): void {
    this._rev = rev;
    this._needed = needed;
    this._since = [];
  }

  /** @internal */
  _apply(change: MemberChange): boolean {
    const { rev } = change;
    if (change.type == "presence") {
      const known = change.user !== undefined && this._map._map.get(change.user);
      if (rev !== undefined && rev <= this._rev) return false;
      this._rev = rev ?? this._rev;
      if (!known) return false;
      const info = change.info === undefined ? known.info : change.info;
      this._map._write().set(known.user, member(known.user, info, change.status ?? known.status));
      return true;
    }
    if (change.type == "count") {
      if (change.rev < this._rev) return false;
      // In place of events: nobody knows any more who is there.
      if (!change.list && change.rev > this._rev) this._map._replace(new Map());
    } else {
      if (change.rev <= this._rev) return false;
      const map = this._map._write();
      if (change.type == "user_left") map.delete(change.user);
      else map.set(change.user, member(change.user, change.info, "active"));
    }
    this._rev = change.rev;
    this._count = change.count;
    this._users = change.users;
    return true;
  }
}

function member(user: string, info: unknown, status: Member["status"]): Member {
  return { user, ...(info !== undefined && { info }), ...(status && { status }) };
}
