// The page as a whole: who one is, which room is open, and which pane a small screen shows.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { RoomcastProvider } from "@roomcast/client/react";
import { toName, toRoomName } from "../names";
import type { Sessions } from "../session";
import { readSettings } from "../settings";
import type { Settings } from "../settings";
import { Chat } from "./Chat";
import { Dashboard } from "./Dashboard";
import { Header } from "./Header";
import { Notifications } from "./Notifications";
import { Rail } from "./Rail";
import { Tabs } from "./Tabs";
import type { Pane } from "./Tabs";

export function App({ settings, sessions }: { settings: Settings; sessions: Sessions }) {
  const session = useSyncExternalStore(sessions.subscribe, sessions.session);
  const connection = useSyncExternalStore(sessions.subscribe, sessions.connection);
  const [room, setRoom] = useState(settings.room);
  const [drafts] = useState(() => new Map<string, string>());
  const [pane, setPane] = useState<Pane>("chat");

  const onReset = useCallback((of: string, lost: number) => sessions.reset(of, lost), [sessions]);

  useEffect(() => {
    const follow = () => setRoom(readSettings(new URL(location.href), "").room);
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);

  const enter = (text: string) => {
    const name = toRoomName(text);
    if (name === "") return;
    // A step of its own: the browser's way back leads to the room before.
    if (name !== room) remember({ room: name }, "push");
    setRoom(name);
    setPane("chat");
    // On a small screen the field or button is gone with its pane: focus goes to the room.
    requestAnimationFrame(() => {
      const active = document.activeElement;
      if (!(active instanceof HTMLElement) || active.offsetParent === null) document.getElementById("room-title")?.focus();
    });
  };
  const rename = (text: string) => {
    const name = toName(text);
    if (name === "" || name === session.user) return;
    sessions.restart(name);
    // An address that names somebody would bring the old name back with the next load.
    if (settings.user !== "") remember({ user: name }, "replace");
  };
  const show = (pane: Pane, id: string) => {
    setPane(pane);
    // The pane may be hidden until this drawing: focus goes there after it.
    requestAnimationFrame(() => document.getElementById(id)?.focus());
  };

  return (
    <RoomcastProvider client={session.client}>
      <div className="page" data-pane={pane}>
        <Header connection={connection} onBell={() => show("live", "notifications")}
          onRestart={() => sessions.restart(session.user)} onWrite={() => show("chat", "message")} />
        <main>
          <Rail
            user={session.user}
            room={room}
            isNameLocked={settings.token !== ""}
            onRoom={enter}
            onName={rename}
          />
          <Chat key={room} room={room} user={session.user} outbox={session.outbox} connection={connection} drafts={drafts} onReset={onReset} onAnswered={sessions.answered} />
          <div className="live">
            <Dashboard isOnline={connection.kind === "connected"} />
            <Notifications settings={settings} user={session.user} />
          </div>
        </main>
        <Tabs pane={pane} onPane={setPane} />
      </div>
    </RoomcastProvider>
  );
}

/** In the page's address, so that it can be sent to somebody. */
function remember(values: { room?: string; user?: string }, step: "push" | "replace"): void {
  const address = new URL(location.href);
  for (const [key, value] of Object.entries(values)) address.searchParams.set(key, value);
  address.search = address.search.replaceAll("%3A", ":");
  history[`${step}State`](null, "", address);
}
