// The left side: who one is, the rooms, and who is in the open one.
import { useState } from "react";
import { useClient } from "@roomcast/client/react";
import type { Member } from "@roomcast/client";
import { chatRoom, useChat } from "../hooks/rooms";
import { SUGGESTED_ROOMS } from "../settings";
import { Avatar } from "./Avatar";
import { Field } from "./Field";

/** People who are named; of more only the number is told. */
const NAMED = 40;

/** `person-2` before `person-10`. */
const BY_NAME = new Intl.Collator("en", { numeric: true });

interface RailProps {
  readonly user: string;
  readonly room: string;
  readonly isNameLocked: boolean;
  readonly onRoom: (name: string) => void;
  readonly onName: (name: string) => void;
}

export function Rail({ user, room, isNameLocked, onRoom, onName }: RailProps) {
  return (
    <aside className="rail" aria-label="Rooms and people">
      <section className="me">
        <Avatar name={user} />
        <Field label="Your name" testId="name" action="Rename" value={user} isLocked={isNameLocked} onCommit={onName} />
      </section>
      <Rooms room={room} onRoom={onRoom} />
      <People room={room} user={user} />
      <SecondWindow room={room} user={user} />
    </aside>
  );
}

function Rooms({ room, onRoom }: { room: string; onRoom: (name: string) => void }) {
  const [visited, setVisited] = useState<readonly string[]>(SUGGESTED_ROOMS);
  if (!visited.includes(room)) setVisited([...visited, room].slice(-8));
  return (
    <nav className="rooms" aria-labelledby="rooms-title">
      <h2 id="rooms-title">Rooms</h2>
      <ul>
        {visited.map((name) => (
          <li key={name}>
            <button type="button" aria-current={name === room ? "page" : undefined} onClick={() => onRoom(name)}>
              <RoomName name={name} />
            </button>
          </li>
        ))}
      </ul>
      <Field label="Go to a room" testId="room" action="Go" value={room} onCommit={onRoom} />
    </nav>
  );
}

/** The namespace is quieter than the name itself. */
export function RoomName({ name }: { name: string }) {
  const at = name.indexOf(":") + 1;
  return <span className="room-name"><span className="quiet">{name.slice(0, at)}</span>{name.slice(at)}</span>;
}

function People({ room, user }: { room: string; user: string }) {
  const { members, status } = useChat(room);
  const client = useClient();
  const { users } = chatRoom(client, room);
  const named = [...members.values()].sort((left, right) => order(left, user) - order(right, user) || BY_NAME.compare(left.user, right.user));
  const more = (users ?? named.length) - Math.min(named.length, NAMED);
  // Without a connection the list is gone, and a number alone would be an old one.
  const isKnown = status === "joined";
  return (
    <section className="people" aria-labelledby="people-title">
      <h2 id="people-title">People here{isKnown && users !== undefined && <span className="number">{users.toLocaleString("en-US")}</span>}</h2>
      <ul data-testid="members">
        {named.slice(0, NAMED).map((member) => (
          <li key={member.user} data-status={member.status ?? "active"}>
            <Avatar name={member.user} size="small" />
            <span className="member-name">{member.user}</span>
            {member.user === user && <span className="quiet">you</span>}
            {member.status === "away" && <span className="quiet">away</span>}
          </li>
        ))}
        {!isKnown && named.length < 2 && <li className="quiet">Others show here once you are connected.</li>}
        {isKnown && more > 0 && <li className="quiet">{named.length > 0 ? `and ${count(more)} more` : `${count(more)} ${more === 1 ? "person" : "people"}`}</li>}
      </ul>
    </section>
  );
}

const count = (number: number): string => number.toLocaleString("en-US");
const order = (member: Member, user: string): number => (member.user === user ? 0 : member.status === "away" ? 2 : 1);

/** The page again; without a user with another name, made up for the new tab. */
export const address = (query: { room: string; user?: string }): string => `?${new URLSearchParams(query).toString()}`;

function SecondWindow({ room, user }: { room: string; user: string }) {
  return (
    <section className="second">
      <h2>Try it with two windows</h2>
      <p>
        <a href={address({ room })} target="_blank" rel="noopener">Open as somebody else</a>
        <a href={address({ room, user })} target="_blank" rel="noopener">Open as {user}, on a second device</a>
      </p>
    </section>
  );
}
