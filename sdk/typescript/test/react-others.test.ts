// @vitest-environment happy-dom
// The other React hooks on the fake server: the connection, a room's state, the client itself.
import { act, createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { describe, expect, test, vi } from "vitest";
import { useClient, useConnection, useRoom, useRoomState } from "../src/react.js";
import { mount, render, useReact, wait } from "./react-support.js";
import { clientOf, sent, serve, useFakeTime } from "./support.js";

useFakeTime();
useReact();

describe("the others", () => {
  test("useConnection is the client's state, and changes with it", async () => {
    const server = serve();
    const client = clientOf(server);
    const states: string[] = [];
    const Shown = () => {
      states.push(useConnection());
      return null;
    };
    await mount(client, h(Shown));
    expect(states.at(-1)).toBe("idle");
    act(() => void client.connect());
    await wait();
    expect(states.at(-1)).toBe("connected");
    act(() => server.disconnect());
    await wait(1);
    expect(states.at(-1)).toBe("reconnecting");
  });

  test("useRoomState is a new map after each change, and the same without one", async () => {
    const server = serve({ state: true });
    server.room("s").publish(1, { state_key: "x" });
    const maps: ReadonlyMap<string, { data: unknown }>[] = [];
    const Shown = () => {
      maps.push(useRoomState("s"));
      return null;
    };
    const client = clientOf(server);
    const root = await mount(client, h(Shown));
    const first = maps.at(-1);
    expect(first?.get("x")?.data).toBe(1);
    await render(root, client, h(Shown));
    expect(maps.at(-1)).toBe(first);
    server.room("s").publish(2, { state_key: "x" });
    await wait();
    expect([maps.at(-1)?.get("x")?.data, first?.get("x")?.data]).toEqual([2, 1]);
  });

  test("useRoomState is empty until the whole of a state is there, and useRoom is joined then", async () => {
    const server = serve({ state: true });
    server.room("s").publish(1, { state_key: "x" });
    server.room("s").publish(2, { state_key: "y" });
    server.intercept = (socket, { type, id }) => {
      if (type != "join") return false;
      const [first, second] = server.room("s").snapshot();
      socket.give({ type: "joined", id, room: "s", epoch: server.room("s").epoch, seq: 2, state: true });
      socket.give(first!);
      setTimeout(() => socket.give(second!), 500);
      return true;
    };
    const seen: string[] = [];
    const Shown = () => {
      seen.push(`${useRoom("s").status} ${useRoomState("s").size}`);
      return null;
    };
    await mount(clientOf(server), h(Shown));
    await wait(300);
    expect(seen.at(-1)).toBe("joining 0");
    await wait(300);
    expect(seen.at(-1)).toBe("joined 2");
    expect(new Set(seen)).not.toContain("joined 1");
  });

  test("useRoom and useRoomState share one membership", async () => {
    const server = serve({ state: true });
    const Both = () => {
      useRoomState("s");
      useRoom("s", { presence: true });
      return null;
    };
    await mount(clientOf(server), h(Both));
    expect(sent(server, "join").map(({ presence }) => presence)).toEqual([true]);
  });

  test("without a provider hooks say so", () => {
    const root = createRoot(document.createElement("div"));
    const Lost = () => {
      useClient();
      return null;
    };
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect(() => act(() => root.render(h(Lost)))).toThrow("RoomcastProvider is missing");
  });
});
