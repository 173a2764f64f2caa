// Who one is and the client that goes with it: another name is another client. Keeps the name for this
// tab, so that two windows are two people. It must not know React.
import { Client } from "@roomcast/client";
import { nextIndicator } from "./indicator";
import type { ConnectionEvent, Indicator } from "./indicator";
import { madeUpName, toName } from "./names";
import { Outbox } from "./outbox";
import type { Outgoing } from "./outbox";
import { BOARD_ROOM } from "./settings";
import type { Settings } from "./settings";

const NAME_KEY = "roomcast-name";
/** Milliseconds. */
const LEAVING = 500;

export interface Session {
  readonly id: number;
  readonly user: string;
  readonly client: Client;
  readonly outbox: Outbox;
}

export class Sessions {
  private current: Session;
  private indicator: Indicator = { kind: "idle" };
  private readonly subscribers = new Set<() => void>();
  private readonly settings: Settings;
  private readonly storage: Pick<Storage, "getItem" | "setItem"> | undefined;

  constructor(settings: Settings, storage: Pick<Storage, "getItem" | "setItem"> | undefined) {
    this.settings = settings;
    this.storage = storage;
    const known = settings.user || toName(storage?.getItem(NAME_KEY) ?? "");
    this.current = this.begin(1, known || madeUpName());
  }

  readonly subscribe = (f: () => void): (() => void) => {
    this.subscribers.add(f);
    return () => this.subscribers.delete(f);
  };

  readonly session = (): Session => this.current;
  readonly connection = (): Indicator => this.indicator;

  /** A room began again: the client has no event of its own for it. */
  reset(room: string, lost: number): void {
    this.tell(this.current.id, { name: "reset", room, lost });
  }

  /** All rooms have answered after a reconnect: the client says so only where none of them left out a value. */
  readonly answered = (): void => this.tell(this.current.id, { name: "answered" });

  /** With another name, or the same one after the client has stopped. */
  restart(user: string): void {
    const { client, id, outbox } = this.current;
    const isConnected = this.indicator.kind === "connected";
    // While connected what waits is sent, and the rooms are left, within a moment: else others would see the
    // old name until its grace is over. Without a connection the old client must not come back with what is kept here.
    this.current = this.begin(id + 1, user, isConnected ? [] : outbox.view());
    if (isConnected) setTimeout(() => void client.close(), LEAVING);
    else void client.close();
  }

  private begin(id: number, user: string, unsent: readonly Outgoing[] = []): Session {
    try {
      this.storage?.setItem(NAME_KEY, user);
    } catch { /* It is full, or may only be read: the name lasts as long as the page. */ }
    const { socket, token } = this.settings;
    const client = new Client(socket, token === "" ? { user } : { token });
    const tell = (event: ConnectionEvent) => this.tell(id, event);
    client.on("connected", () => tell({ name: "connected" }));
    client.on("reconnecting", (event) => tell({ name: "reconnecting", ...event }));
    client.on("reconnected", () => tell({ name: "reconnected" }));
    client.on("resumed", () => tell({ name: "resumed" }));
    // The board's values come anew: none of them is a loss.
    client.on("gap", (event) => tell({ name: "gap", ...event, conflated: event.conflated ?? event.room === BOARD_ROOM }));
    client.on("failed", ({ code, message }) => tell({ name: "failed", code, message }));
    queueMicrotask(() => tell({ name: "opened" }));
    return { id, user, client, outbox: new Outbox(unsent) };
  }

  /** What an old client still tells is not shown. */
  private tell(id: number, event: ConnectionEvent): void {
    if (id !== this.current.id) return;
    this.indicator = nextIndicator(this.indicator, event, Date.now());
    this.subscribers.forEach((f) => f());
  }
}
