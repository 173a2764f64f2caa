// The top of the page: the mark, the connection's truth, the bell.
import { useEffect, useState } from "react";
import { indicatorText, withoutOldNote } from "../indicator";
import type { Indicator } from "../indicator";
import { useReadMarks } from "../hooks/rooms";
import { BellIcon, Mark } from "./icons";

/** How often (ms) a countdown and a passing note are looked at. */
const TICK = 200;

interface HeaderProps {
  readonly connection: Indicator;
  readonly onBell: () => void;
  readonly onRestart: () => void;
  readonly onWrite: () => void;
}

export function Header({ connection, onBell, onRestart, onWrite }: HeaderProps) {
  return (
    <header className="top">
      <button type="button" className="skip" onClick={onWrite}>Write a message</button>
      <h1 className="brand"><Mark />Roomcast</h1>
      <Status connection={connection} onRestart={onRestart} />
      <Bell onBell={onBell} />
    </header>
  );
}

function Status({ connection, onRestart }: { connection: Indicator; onRestart: () => void }) {
  const now = useNow(connection.kind === "reconnecting" || (connection.kind === "connected" && connection.note !== undefined));
  const shown = withoutOldNote(connection, now);
  // Read aloud each second, a countdown would drown everything else.
  const [word, rest] = parts(indicatorText(shown, now));
  const note = shown.kind === "connected" ? shown.note : undefined;
  // A reason without words of its own is in the status already.
  const reason = shown.kind === "failed" && shown.message !== shown.code ? shown.message : "";
  const detail = note?.detail ?? reason;
  return (
    <div className="status-line">
      <span className="status" data-testid="status" role="status" data-kind={note?.what ?? shown.kind}>
        <span>{word}<span aria-hidden={shown.kind === "reconnecting"}>{rest}</span></span>
      </span>
      {detail !== "" && <span className="status-detail">{detail}</span>}
      {shown.kind === "failed" && <button type="button" className="plain" onClick={onRestart}>Try again</button>}
    </div>
  );
}

function parts(text: string): [first: string, rest: string] {
  const at = text.indexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at)];
}

/** The time of each drawing, drawn again and again while something is counted down. */
function useNow(isCounting: boolean): number {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (!isCounting) return;
    const timer = setInterval(() => setTick((tick) => tick + 1), TICK);
    return () => clearInterval(timer);
  }, [isCounting]);
  // Not a time that is kept: the first drawing of a break would count from the last one before it.
  return Date.now();
}

function Bell({ onBell }: { onBell: () => void }) {
  const { unread } = useReadMarks();
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Roomcast` : "Roomcast";
  }, [unread]);
  return (
    <button type="button" className="bell" onClick={onBell} data-unread={unread > 0}>
      <BellIcon />
      <span className="hidden-text">Notifications, unread: </span>
      <span className="badge" data-testid="bell">{unread}</span>
    </button>
  );
}
