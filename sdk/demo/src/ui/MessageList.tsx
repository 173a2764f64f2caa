// The conversation: rows of a room, then own messages on their way. Only a window of it is in the page.
import { useEffect, useRef, useState } from "react";
import type { KeyboardEvent } from "react";
import type { Message, Room, RoomStatus } from "@roomcast/client";
import { useClient } from "@roomcast/client/react";
import { chatRoom } from "../hooks/rooms";
import { useRowWindow } from "../hooks/row-window";
import type { Outbox, Outgoing } from "../outbox";
import { idOf, rowsOf } from "../timeline";
import type { Notice } from "../timeline";
import { DownIcon } from "./icons";
import { MessageRow } from "./MessageRow";
import { PendingRow } from "./PendingRow";
import { address } from "./Rail";

const EMPTY: Readonly<Record<RoomStatus, string>> = {
  joining: "Joining the room.",
  joined: "Nothing here yet. Say hello: everybody who opens this room sees it.",
  resuming: "Waiting for the connection.",
  left: "The node does not admit you to this room.",
};
const PAGE = 50;
/** Nearer to the end than this (CSS pixels) counts as there. */
const END = 48;

interface MessageListProps {
  readonly room: string;
  readonly user: string;
  readonly messages: readonly Message[];
  readonly notices: readonly Notice[];
  readonly outgoing: readonly Outgoing[];
  readonly pending: readonly Outgoing[];
  readonly isOnline: boolean;
  readonly status: RoomStatus;
  readonly outbox: Outbox;
  readonly onAtEnd: (isAtEnd: boolean) => void;
}

export function MessageList({ room: name, user, messages, notices, outgoing, pending, isOnline, status, outbox, onAtEnd }: MessageListProps) {
  const room = chatRoom(useClient(), name);
  const scroller = useRef<HTMLDivElement>(null);
  const [isAtEnd, setAtEnd] = useState(true);
  const { older, canLoad, load } = useOlder(room, messages);
  const all = older.length > 0 ? [...older, ...messages] : messages;
  const ids = all.map(idOf);
  const count = useRowWindow(ids);
  // The newest message when the end was left; what came since is below.
  const [leftAt, setLeftAt] = useState("");
  const below = isAtEnd || leftAt === "" ? 0 : ids.length - 1 - ids.lastIndexOf(leftAt);
  // By place as well as by key: only the connection that published is told the key.
  const own = new Map(outgoing.flatMap((item) => [[item.key, item], [idOf({ epoch: item.epoch ?? "", seq: item.seq ?? 0 }), item]]));

  // Negative in a scroller that begins at its end.
  const look = () => {
    const atEnd = Math.abs(scroller.current?.scrollTop ?? 0) < END;
    if (isAtEnd && !atEnd) setLeftAt(ids.at(-1) ?? "");
    setAtEnd(atEnd);
    onAtEnd(atEnd);
  };
  // The browser's own smooth way there would stop when the rows above get their real heights.
  const toStart = (event: KeyboardEvent<HTMLElement>) => {
    if (event.key !== "Home" || event.target !== event.currentTarget) return;
    event.preventDefault();
    setAtEnd(false);
    setLeftAt(ids.at(-1) ?? "");
    requestAnimationFrame(() => scroller.current?.scrollTo({ top: -scroller.current.scrollHeight }));
  };
  const toEnd = () => scroller.current?.scrollTo({ top: 0 });
  // What one sends is seen, wherever one was reading.
  const lastKey = pending.at(-1)?.key;
  useEffect(() => {
    if (lastKey !== undefined) scroller.current?.scrollTo({ top: 0 });
  }, [lastKey]);

  const isEmpty = all.length === 0 && pending.length === 0;
  return (
    <>
      <div className="messages" data-testid="messages" role="log" aria-label="Messages" data-at-end={isAtEnd} aria-busy={status === "joining"} tabIndex={0} ref={scroller}
        onScroll={look} onKeyDown={toStart}>
        <div className="rows">
          {canLoad && count >= all.length && <button type="button" className="plain earlier" onClick={load}>Earlier messages</button>}
          {isEmpty && (
            <div className="empty">
              <p>{status === "left" && !isOnline ? "Not connected." : EMPTY[status]}</p>
              {status === "joined" && <a href={address({ room: name })} target="_blank" rel="noopener">Open a second window as somebody else</a>}
            </div>
          )}
          <ol>
            {rowsOf(all.slice(all.length - count), notices, room.position?.epoch ?? "").map((row) => row.kind === "notice"
              ? <li key={row.id} className="notice">{row.text}</li>
              : <MessageRow key={row.id} message={row.message} isOwn={row.message.user === user} continues={row.continues}
                  day={row.day} sent={own.get(row.message.key ?? row.id) ?? own.get(row.id)} />)}
            {pending.map((item) => <PendingRow key={item.key} item={item} isOnline={isOnline}
              onRetry={() => outbox.retry(room, item)} onDiscard={() => outbox.discard(item)} />)}
          </ol>
        </div>
      </div>
      {/* Always there: putting it in would stop the smooth scrolling that shows it. */}
      <button type="button" className="to-end" data-shown={!isAtEnd} onClick={toEnd}><DownIcon />{below > 0 ? `${below} new` : "Newest"}</button>
    </>
  );
}

/** Pages of history before the first message that the room's view keeps; they go when that one does. */
function useOlder(room: Room, messages: readonly Message[]) {
  const first = messages[0];
  const [pages, setPages] = useState<{ to: string; older: readonly Message[]; more: boolean }>({ to: "", older: [], more: true });
  const isLoading = useRef(false);
  const to = first ? idOf(first) : "";
  const known = pages.to === to ? pages : { to, older: [], more: true };
  const before = (known.older[0] ?? first)?.seq ?? 0;

  const load = async () => {
    if (!first || isLoading.current) return;
    isLoading.current = true;
    try {
      const page = await room.history({ before, limit: PAGE });
      const isSame = page.epoch === first.epoch;
      const read = isSame ? page.messages.map((fields) => ({ ...fields, room: room.name, epoch: page.epoch })) : [];
      setPages({ to, older: [...read, ...known.older], more: isSame && page.more });
    } catch { /* Not now: the button stays. */ } finally {
      isLoading.current = false;
    }
  };
  return { older: known.older, canLoad: known.more && before > 1, load };
}
