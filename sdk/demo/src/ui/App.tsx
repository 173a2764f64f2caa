// The page as a whole: who one is, which room is open, and which pane a small screen shows.
import { useCallback, useState, useSyncExternalStore } from "react";
import { RoomcastProvider } from "@roomcast/client/react";
import { toName, toRoomName } from "../names";
import type { Sessions } from "../session";
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
  const [pane, setPane] = useState<Pane>("chat");

  const onReset = useCallback((of: string, lost: number) => sessions.reset(of, lost), [sessions]);

  const enter = (text: string) => {
    const name = toRoomName(text);
    if (name === "") return;
    setRoom(name);
    setPane("chat");
    remember("room", name);
  };
  const rename = (text: string) => {
    const name = toName(text);
    if (name === "" || name === session.user) return;
    sessions.restart(name);
    // An address that names somebody would bring the old name back with the next load.
    if (settings.user !== "") remember("user", name);
  };
  const showNotifications = () => {
    setPane("live");
    // The pane may be hidden until this drawing: focus goes there after it.
    requestAnimationFrame(() => document.getElementById("notifications")?.focus());
  };

  return (
    <RoomcastProvider key={session.id} client={session.client}>
      <div className="page" data-pane={pane}>
        <Header connection={connection} onBell={showNotifications} onRestart={() => sessions.restart(session.user)} />
        <main>
          <Rail
            user={session.user}
            room={room}
            isNameLocked={settings.token !== ""}
            onRoom={enter}
            onName={rename}
          />
          <Chat key={room} room={room} user={session.user} outbox={session.outbox} connection={connection} onReset={onReset} onAnswered={sessions.answered} />
          <div className="live">
            <Dashboard />
            <Notifications settings={settings} user={session.user} />
          </div>
        </main>
        <Tabs pane={pane} onPane={setPane} />
      </div>
    </RoomcastProvider>
  );
}

/** In the page's address, so that it can be sent to somebody. */
function remember(key: "room" | "user", value: string): void {
  const address = new URL(location.href);
  address.searchParams.set(key, value);
  address.search = address.search.replaceAll("%3A", ":");
  history.replaceState(null, "", address);
}
