// The example of docs/testing.md with React, which shows what follows.

// @vitest-environment happy-dom
import { Client } from "@roomcast/client";
import { RoomcastProvider, useRoom } from "@roomcast/client/react";
import { FakeServer } from "@roomcast/client/testing";
import { act } from "react";
import { createRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";

// React Testing Library does this by itself.
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

function Chat() {
  const { messages } = useRoom("chat:1");
  return <ul>{messages.map(({ seq, data }) => <li key={seq}>{String(data)}</li>)}</ul>;
}

test("draws what comes", async () => {
  vi.useFakeTimers();
  const server = new FakeServer();
  const client = new Client("ws://fake/ws", { WebSocket: server.WebSocket });
  const page = document.createElement("div");
  const root = createRoot(page);
  act(() => root.render(<RoomcastProvider client={client}><Chat /></RoomcastProvider>));
  await act(() => vi.advanceTimersByTimeAsync(50));
  server.room("chat:1").publish("hello");
  await act(() => vi.advanceTimersByTimeAsync(50)); // a view changes at most once in 16 ms
  expect(page.textContent).toBe("hello");
  act(() => root.unmount());
  await client.close();
  vi.useRealTimers();
});
