// The example of docs/testing.md, which shows what follows.

import { Client } from "@roomcast/client";
import { FakeServer } from "@roomcast/client/testing";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openChat } from "./chat.js";

let server: FakeServer;
let client: Client;

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  vi.stubGlobal("fetch", server.fetch); // the client asks by it why a handshake failed
  client = new Client("ws://fake/ws", { user: "alice", WebSocket: server.WebSocket });
});
afterEach(async () => {
  await client.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("shows what others say", async () => {
  const chat = openChat(client, "chat:1");
  await chat.joined;
  server.room("chat:1").publish("hi", { user: "bob" });
  await vi.advanceTimersByTimeAsync(0);
  expect(chat.lines).toEqual(["bob: hi"]);
});

test("misses nothing while the node restarts", async () => {
  const chat = openChat(client, "chat:1");
  await chat.joined;
  server.disconnect(1012);
  server.room("chat:1").publish("are you there?", { user: "bob" });
  await vi.advanceTimersByTimeAsync(1000); // the first pause is at most 1 s
  expect(chat.lines).toEqual(["bob: are you there?"]);
});

test("says what is missing", async () => {
  const chat = openChat(client, "chat:1");
  await chat.joined;
  server.disconnect(1012);
  const room = server.room("chat:1");
  for (const text of ["one", "two", "three"]) room.publish(text, { user: "bob" });
  room.forget(2); // history no longer has the first two
  await vi.advanceTimersByTimeAsync(1000);
  expect(chat.lines).toEqual(["(2 messages are missing)", "bob: three"]);
});

test("sends what was said offline", async () => {
  const chat = openChat(client, "chat:1");
  await chat.joined;
  server.refusal = "away"; // handshakes get no answer
  server.disconnect();
  const said = chat.say("hello");
  await vi.advanceTimersByTimeAsync(5000);
  expect([client.state, client.queued]).toEqual(["reconnecting", 1]);
  server.refusal = undefined;
  await vi.advanceTimersByTimeAsync(60_000);
  await said;
  expect(chat.lines).toEqual(["alice: hello"]);
});
