// An own message that is not among the room's yet: waiting, on its way, or refused.
import type { Outgoing } from "../outbox";
import { Body } from "./Body";
import { ClockIcon, Ticks } from "./icons";

interface PendingRowProps {
  readonly item: Outgoing;
  readonly isOnline: boolean;
  readonly onRetry: () => void;
  readonly onDiscard: () => void;
}

export function PendingRow({ item, isOnline, onRetry, onDiscard }: PendingRowProps) {
  return (
    <li className="message pending" data-own="true" data-state={item.state}>
      <div className="bubble">
        <span className="hidden-text">You: </span>
        <Body content={item.content} author="you">
          <span className="meta">
            {item.state === "waiting" && <span className="delivery"><ClockIcon />{isOnline ? "sending" : "queued until connected"}</span>}
            {item.state === "sent" && <span className="delivery"><Ticks two={false} /><span className="hidden-text">sent</span></span>}
            {item.state === "failed" && <span className="delivery failed">not sent: {item.code}</span>}
          </span>
        </Body>
        {item.state === "failed" && (
          <p className="choices">
            <button type="button" className="plain" onClick={onRetry}>Try again</button>
            <button type="button" className="plain" onClick={onDiscard}>Discard</button>
          </p>
        )}
      </div>
    </li>
  );
}
