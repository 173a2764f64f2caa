// What the tests share: a fake server with a client of it under fake timers, and waiting by turns.
import { afterEach, beforeEach, vi } from "vitest";
import { Client, type ClientOptions } from "../src/index.js";
import { FakeServer, type FakeRoomOptions, type Frame } from "../src/testing.js";

const clients: Client[] = [];

export function useFakeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    // The highest chance below 1 would do as well; a fixed one makes pauses predictable.
    vi.spyOn(Math, "random").mockImplementation(() => 0.5 + ((chance += 1e-9) % 1e-3));
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });
}
let chance = 0;

export function serve(room: FakeRoomOptions | ((name: string) => FakeRoomOptions) = {}): FakeServer {
  const server = new FakeServer({ room: typeof room == "function" ? room : () => room });
  vi.stubGlobal("fetch", server.fetch);
  return server;
}

export function clientOf(server: FakeServer, options: ClientOptions = {}): Client {
  const client = new Client("ws://fake/ws", { WebSocket: server.WebSocket, ...options });
  clients.push(client);
  return client;
}

/** Lets everything that is due now happen, and so many milliseconds pass. */
export const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

/** The events of a name, as they come. */
export function record<E>(on: { on(name: never, f: (event: E) => void): unknown }, name: string): E[] {
  const events: E[] = [];
  on.on(name as never, (event) => events.push(event));
  return events;
}

/** What becomes of a promise: its value, or the code that it rejected with. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  try {
    return (await promise) ?? "done";
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

/** The same, without waiting: undefined as long as it is pending. */
export function watchOutcome(promise: Promise<unknown>): { readonly now: unknown } {
  const watched: { now: unknown } = { now: undefined };
  void outcome(promise).then((value) => (watched.now = value));
  return watched;
}

export const sent = (server: FakeServer, type: string): Frame[] =>
  server.handshakes.flatMap((socket) => socket.received).filter((frame) => frame.type == type);
