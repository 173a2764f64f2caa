// One's own messages and how far each has come: waiting, sent, failed, received and read by how many.
// Holds the page's view of them; queueing and sending again are the client's work.
import type { Room } from "@roomcast/client";
import { toData } from "./content";
import type { Content } from "./content";

/** Sent messages that are remembered; the node tells receipts of as many. */
const REMEMBERED = 100;

export interface Outgoing {
  readonly key: string;
  readonly room: string;
  readonly content: Content;
  readonly time: number;
  readonly state: "waiting" | "sent" | "failed";
  readonly epoch?: string;
  readonly seq?: number;
  /** Why it failed. */
  readonly code?: string;
  readonly received: number;
  readonly read: number;
}

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown";

export class Outbox {
  private readonly subscribers = new Set<() => void>();
  private last = 0;
  /** Namespaces that answered a publish with receipts by `unsupported`. */
  private readonly withoutReceipts = new Set<string>();

  private items: readonly Outgoing[];

  /** With those of another session that were not sent: one may try them again. */
  constructor(unsent: readonly Outgoing[] = []) {
    this.items = unsent.filter(({ state }) => state !== "sent").map((item) => ({ code: "closed", ...item, state: "failed" }));
  }

  readonly subscribe = (f: () => void): (() => void) => {
    this.subscribers.add(f);
    return () => this.subscribers.delete(f);
  };

  readonly view = (): readonly Outgoing[] => this.items;

  send(room: Room, content: Content): void {
    const key = `m-${Date.now().toString(36)}-${(this.last += 1)}-${Math.floor(Math.random() * 2 ** 48).toString(36)}`;
    const item: Outgoing = { key, room: room.name, content, time: Date.now(), state: "waiting", received: 0, read: 0 };
    const sent = this.items.filter(({ state }) => state === "sent");
    const forgotten = new Set(sent.slice(0, Math.max(0, sent.length - REMEMBERED)));
    this.set([...this.items.filter((known) => !forgotten.has(known)), item]);
    void this.publish(room, item);
  }

  /** Under the same key: what was stored after all is not stored twice. */
  retry(room: Room, item: Outgoing): void {
    this.change(item.key, { state: "waiting" });
    void this.publish(room, item);
  }

  discard({ key }: Outgoing): void {
    this.set(this.items.filter((item) => item.key !== key));
  }

  receipts(room: string, { epoch, seq, received, read }: { epoch: string; seq: number; received: number; read: number }): void {
    const item = this.items.find((one) => one.room === room && one.seq === seq && one.epoch === epoch);
    if (item) this.change(item.key, { received, read });
  }

  private async publish(room: Room, item: Outgoing): Promise<void> {
    const space = item.room.split(":", 1)[0] ?? "";
    const receipts = !this.withoutReceipts.has(space);
    try {
      const { epoch, seq, time } = await room.publish(toData(item.content), { key: item.key, ...(receipts && { receipts }) });
      this.change(item.key, { state: "sent", epoch, seq, time });
    } catch (error) {
      if (receipts && codeOf(error) === "unsupported") {
        this.withoutReceipts.add(space);
        return this.publish(room, item);
      }
      this.change(item.key, { state: "failed", code: codeOf(error) });
    }
  }

  private change(key: string, change: Partial<Outgoing>): void {
    this.set(this.items.map((item) => (item.key === key ? { ...item, ...change } : item)));
  }

  private set(items: readonly Outgoing[]): void {
    this.items = items;
    this.subscribers.forEach((f) => f());
  }
}
