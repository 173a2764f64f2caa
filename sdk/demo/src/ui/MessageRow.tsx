// One message of the room. Drawn once and again only if how far it has come changes.
import { memo } from "react";
import type { Message } from "@roomcast/client";
import { readContent } from "../content";
import type { Outgoing } from "../outbox";
import { Avatar } from "./Avatar";
import { Body } from "./Body";
import { Ticks } from "./icons";

interface MessageRowProps {
  readonly message: Message;
  readonly isOwn: boolean;
  /** Whether it stands under another one of the same author. */
  readonly continues: boolean;
  /** The day that begins with it. */
  readonly day: string;
  /** What is known of it, if it was sent from this page. */
  readonly sent: Outgoing | undefined;
}

export const MessageRow = memo(function MessageRow({ message, isOwn, continues, day, sent }: MessageRowProps) {
  const { seq, time, user, data } = message;
  const author = user ?? "somebody";
  return (
    <li className="message" data-testid="message" data-seq={seq} data-own={isOwn} data-continues={continues}>
      {day !== "" && <p className="day">{day}</p>}
      {!continues && !isOwn && <Avatar name={author} />}
      <div className="bubble">
        {!continues && !isOwn && <p className="author">{author}</p>}
        {isOwn && <span className="hidden-text">You: </span>}
        <Body content={readContent(data)} author={author}>
          <span className="meta">
            <time dateTime={new Date(time).toISOString()}>{clock(time)}</time>
            {isOwn && <Delivery sent={sent} />}
          </span>
        </Body>
      </div>
    </li>
  );
});

export const clock = (time: number): string => {
  const date = new Date(time);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
};

/** Receipts count the author too, who has read what is on the screen. */
const others = (users: number): number => Math.max(0, users - 1);

function Delivery({ sent }: { sent: Outgoing | undefined }) {
  const read = others(sent?.read ?? 0);
  const received = others(sent?.received ?? 0);
  const isBack = read > 0 || received > 0;
  const text = read > 0 ? `read by ${read}` : received > 0 ? `received by ${received}` : "sent";
  // One tick says `sent` without the word.
  return <span className="delivery" data-read={read > 0}><Ticks two={isBack} /><span className={isBack ? "" : "hidden-text"}>{text}</span></span>;
}
