// What backends sent to this user: the list, the mark for all devices, and the line to try it with.
import { Fragment, useState } from "react";
import { useClient } from "@roomcast/client/react";
import { readContent } from "../content";
import { myRoom, useNotifications, useReadMarks } from "../hooks/rooms";
import { idOf } from "../timeline";
import { notifyCommand } from "../settings";
import type { Settings } from "../settings";
import { clock } from "./MessageRow";

const SHOWN = 12;

export function Notifications({ settings, user }: { settings: Settings; user: string }) {
  const client = useClient();
  // What was before the room began again can be neither read nor unread.
  const epoch = myRoom(client).position?.epoch;
  const messages = useNotifications().messages.filter((message) => message.epoch === epoch);
  const { unread, read } = useReadMarks();
  const last = messages.at(-1);
  // A refusal leaves the number as it is, which says it.
  const markRead = () => {
    if (last && unread > 0) myRoom(client).received(last, true).catch(() => {});
  };
  return (
    <section className="card notifications" id="notifications" tabIndex={-1} aria-labelledby="notifications-title">
      <div className="card-head">
        <h2 id="notifications-title">Notifications</h2>
        {/* Not `disabled`: that would take the focus from who has just used it. */}
        <button type="button" className="plain" aria-disabled={unread === 0 || !last} onClick={markRead}>Mark all as read</button>
      </div>
      {messages.length === 0
        ? <p className="quiet">None yet. Run this line in a terminal, as a backend would: it reaches every device of {user}.</p>
        : (
          <ul>
            {messages.slice(-SHOWN).reverse().map((message) => (
              <li key={idOf(message)} data-unread={message.seq > read}>
                <span className="text">{message.seq > read && <span className="hidden-text">Unread: </span>}{readContent(message.data).text}</span>
                <time dateTime={new Date(message.time).toISOString()}>{clock(message.time)}</time>
              </li>
            ))}
          </ul>
        )}
      <Command line={notifyCommand(settings, user)} hasKey={settings.key !== ""} />
    </section>
  );
}

/** A long address may break after its slashes. */
const withBreaks = (part: string) => part.split(/(?<=\/)/u).map((piece, at) => <Fragment key={at}>{piece}<wbr /></Fragment>);

function Command({ line, hasKey }: { line: string; hasKey: boolean }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard.writeText(line).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    }, () => setCopied(false));
  };
  return (
    <div className="command">
      <code data-testid="curl" tabIndex={0} role="group" aria-label="Command that sends a notification">
        {/* Broken between its parts where it can be; it stays one line of text. */}
        {line.split(/ (?=-)/u).map((part, at) => <Fragment key={part}>{at > 0 && " "}<span className="part">{withBreaks(part)}</span></Fragment>)}
      </code>
      {/* Browsers give the clipboard to secure pages only. */}
      {window.isSecureContext && <button type="button" className="plain" onClick={copy}>{isCopied ? "Copied" : "Copy"}</button>}
      {!hasKey && <p className="quiet">This node shows no key: put one of its API keys in place of $KEY.</p>}
    </div>
  );
}
