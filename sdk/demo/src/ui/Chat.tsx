// The open room: its head, the conversation with everybody's cursors over it, and the place to write.
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { useClient } from "@roomcast/client/react";
import { chatRoom, useAnswers, useAway, useChat, useNotices, useReading, useResets } from "../hooks/rooms";
import type { Indicator } from "../indicator";
import type { Outbox } from "../outbox";
import { pendingOf } from "../timeline";
import { Avatar } from "./Avatar";
import { Composer } from "./Composer";
import { Cursors } from "./Cursors";
import { MessageList } from "./MessageList";
import { RoomName } from "./Rail";

/** Avatars in the room's head. */
const FACES = 5;

interface ChatProps {
  readonly room: string;
  readonly user: string;
  readonly outbox: Outbox;
  readonly connection: Indicator;
  readonly drafts: Map<string, string>;
  readonly onReset: (room: string, lost: number) => void;
  readonly onAnswered: () => void;
}

export function Chat({ room: name, user, outbox, connection, drafts, onReset, onAnswered }: ChatProps) {
  const client = useClient();
  const { messages, members, typing, status } = useChat(name);
  const notices = useNotices(name);
  const outgoing = useSyncExternalStore(outbox.subscribe, outbox.view);
  const [isAtEnd, setAtEnd] = useState(true);
  const stage = useRef<HTMLDivElement>(null);
  const isMember = status === "joined";
  useReading(name, messages.at(-1), isAtEnd);
  useAway(name, isMember);
  useResets(name, onReset);
  useAnswers(name, connection.kind === "resuming", onAnswered);
  useEffect(() => {
    const room = chatRoom(client, name);
    return room.on("receipts", (receipts) => outbox.receipts(name, receipts));
  }, [client, name, outbox]);

  const others = [...members.keys()].filter((other) => other !== user);
  return (
    <section className="chat" aria-labelledby="room-title">
      <div className="chat-head">
        <div className="title">
          <h2 id="room-title" tabIndex={-1}><RoomName name={name} /></h2>
          <span className="membership">{connection.kind === "reconnecting" ? "offline" : membershipText(status, others.length)}</span>
        </div>
        <Faces names={others} />
      </div>
      <div className="stage" ref={stage}>
        <MessageList
          room={name}
          user={user}
          messages={messages}
          notices={notices}
          outgoing={outgoing}
          pending={pendingOf(outgoing, name, messages)}
          isOnline={connection.kind === "connected"}
          status={status}
          outbox={outbox}
          onAtEnd={setAtEnd}
        />
        <Cursors room={name} user={user} stage={stage} />
      </div>
      <p className="typing" data-testid="typing" aria-live="polite">{typingText(typing.filter((one) => one !== user))}</p>
      <Composer room={name} outbox={outbox} connection={connection} drafts={drafts} />
    </section>
  );
}

/** Others who are here; the list beside the room names them. */
const Faces = ({ names }: { names: readonly string[] }) => (
  <span className="faces" aria-hidden="true">
    {names.slice(0, FACES).map((one) => <Avatar key={one} name={one} size="small" />)}
    {names.length > FACES && <span className="avatar small more">+{names.length - FACES}</span>}
  </span>
);

function membershipText(status: string, others: number): string {
  if (status === "joining") return "joining";
  if (status === "resuming") return "catching up";
  if (status === "left") return "not in this room";
  return others === 0 ? "only you" : `you and ${others.toLocaleString("en-US")} ${others === 1 ? "other" : "others"}`;
}

function typingText(users: readonly string[]): string {
  const [first, second, ...more] = users;
  if (first === undefined) return "";
  if (second === undefined) return `${first} is typing`;
  return more.length === 0 ? `${first} and ${second} are typing` : `${first} and ${users.length - 1} others are typing`;
}
