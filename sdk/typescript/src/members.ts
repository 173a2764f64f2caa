// Who is in a room, kept by revision: changes above the list's are applied, a list that is older
// than what is known is asked for again. Pure; somebody else asks and sets timers.
import type { Counts, CountFrame, PresenceFrame, UserChangeFrame } from "./frames.js";
import { compact } from "./compact.js";
import { shareMap } from "./shared-map.js";
import type { Member, MemberPage } from "./types.js";

const enum Limit {
  KeptChanges = 10_000,
}

export type MemberChange = UserChangeFrame | CountFrame | PresenceFrame;

export type MemberList = ReturnType<typeof makeMemberList>;

export function makeMemberList() {
  const map = shareMap<Member>();
  let rev = -1;
  let revEpoch: string | undefined;
  // What a list must have seen to be taken as whole.
  let needed = 0;
  let hasList = false;
  // Changes since a list was wanted: a list may be a second old, so they are applied to it again.
  let since: MemberChange[] | undefined;

  const want = (known: number) => {
    rev = needed = known;
    since = [];
  };

  const apply = (change: MemberChange): boolean => {
    const next = change.rev ?? rev + 1;
    // A `count` of the same revision only corrects the numbers.
    if (next < rev || (next == rev && change.type != "count")) return false;
    if (change.type == "presence") {
      const { user = "", info, status } = change;
      const known = map._map.get(user);
      if (known) map._write().set(user, member(user, info === undefined ? known.info : info, status ?? known.status));
    } else {
      count(change);
      if (change.type == "user_joined") map._write().set(change.user, member(change.user, change.info, "active"));
      else if (change.type == "user_left") map._write().delete(change.user);
      // In place of events: nobody knows any more who is there.
      else if (change.type == "count" && !change.list && next > rev) map._replace(new Map());
    }
    rev = change.rev ?? rev;
    return true;
  };

  const count = ({ count, users }: Counts) => {
    list._count = count;
    list._users = users;
  };

  const list = {
    _map: map,
    _count: undefined as number | undefined,
    _users: undefined as number | undefined,

    /** Takes the numbers of a `joined`; whether the list is to be asked for. */
    _joined(counts: Counts): boolean {
      count(counts);
      if (counts.rev === undefined || (counts.rev == rev && counts.rev_epoch == revEpoch && !since)) return false;
      want(counts.rev);
      revEpoch = counts.rev_epoch;
      return true;
    },

    /** Nothing is known, nor asked for. */
    _end() {
      map._replace(new Map());
      rev = -1;
      hasList = false;
      since = undefined;
      count({});
    },

    /** The list is no longer known: after this any revision counts. */
    _reset() {
      want(-1);
    },

    /** Takes a change; whether something is different now. */
    _onFrame(change: MemberChange): boolean {
      // A room whose list cannot be read must not keep its changes for ever.
      if (since && since.push(change) > Limit.KeptChanges) since.shift();
      return apply(change);
    },

    /** Takes a whole list; false if it is older than what was known when it was asked for. */
    _take(pages: MemberPage[]): boolean {
      const first = pages[0]!;
      const isWhole = first.rev_epoch != revEpoch || first.rev >= needed;
      if (!isWhole && hasList) return false;
      const next = new Map<string, Member>();
      for (const { user, info, status } of pages.flatMap((page) => page.members)) {
        if (user !== undefined) next.set(user, member(user, info, status));
      }
      map._replace(next);
      ({ rev, rev_epoch: revEpoch } = first);
      count(first);
      hasList = true;
      const later = since ?? [];
      if (isWhole) since = undefined;
      later.forEach(apply);
      return isWhole;
    },
  };
  return list;
}

function member(user: string, info: unknown, status: Member["status"]): Member {
  return compact({ user, info, status });
}
