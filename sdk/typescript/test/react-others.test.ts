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
