// @vitest-environment happy-dom
// useRoom on the fake server: one membership per room, stable views, StrictMode, tidy leaving.
import { act, createElement as h, Fragment, StrictMode } from "react";
import { describe, expect, test } from "vitest";
import { RoomcastProvider, useRoom } from "../src/react.js";
import type { RoomView } from "../src/react.js";
import { datas, mount, render, useReact, viewer, wait } from "./react-support.js";
import { clientOf, pass, sent, serve, useFakeTime } from "./support.js";

useFakeTime();
useReact();

describe("useRoom", () => {
  test("gives history, messages, members, status and a publish that settles", async () => {
    const server = serve({ presence: true });
    server.room("a").publish("old");
    const { Viewer, last } = viewer("a", { history: 10, presence: true });
    const client = clientOf(server, { user: "ann" });
    await mount(client, h(Viewer));
    expect([last()?.status, datas(last()?.messages), [...(last()?.members.keys() ?? [])]]).toEqual(["joined", ["old"], ["ann"]]);
    let seq: number | undefined;
    await act(async () => {
      void last()?.publish("new").then((published) => (seq = published.seq));
      await pass(50);
    });
    expect([seq, datas(last()?.messages)]).toEqual([2, ["old", "new"]]);
  });

  test("names who is typing, and nobody after the end", async () => {
    const server = serve();
    const { Viewer, last } = viewer("a");
    await mount(clientOf(server), h(Viewer));
    server.room("a").tell({ type: "typing", user: "bob", active: true });
    await wait();
    expect(last()?.typing).toEqual(["bob"]);
    server.room("a").tell({ type: "typing", user: "bob", active: false });
    await wait();
    expect(last()?.typing).toEqual([]);
  });

  test("keeps the newest messages, as many as asked for", async () => {
    const server = serve();
    const { Viewer, last } = viewer("a", { keep: 3 });
    await mount(clientOf(server), h(Viewer));
    for (let data = 1; data <= 9; data++) server.room("a").publish(data);
    await wait();
    expect(datas(last()?.messages)).toEqual([7, 8, 9]);
  });

  test("draws a flood as a few changes", async () => {
    const server = serve();
    const { Viewer, views } = viewer("a");
    await mount(clientOf(server), h(Viewer));
    const before = views.length;
    for (let data = 0; data < 400; data++) server.room("a").publish(data);
    await wait();
    expect(views.at(-1)?.messages.length).toBe(400);
    expect(views.length - before).toBeLessThanOrEqual(3);
  });

  test("keeps the identity of what has not changed", async () => {
    const server = serve({ presence: true });
    const { Viewer, views } = viewer("a", { presence: true });
    await mount(clientOf(server, { user: "ann" }), h(Viewer));
    const before = views.at(-1);
    server.room("a").publish(1);
    await wait();
    const after = views.at(-1);
    expect(after).not.toBe(before);
    expect([after?.members, after?.typing, after?.publish]).toEqual([before?.members, before?.typing, before?.publish]);
    expect(after?.members).toBe(before?.members);
  });

  test("joins once however many components use a room, with the first one's options", async () => {
    const server = serve();
    for (let data = 1; data <= 5; data++) server.room("a").publish(data);
    const first = viewer("a", { history: 2 });
    const second = viewer("a", { history: 5 });
    const third = viewer("a");
    await mount(clientOf(server), h(Fragment, null, h(first.Viewer), h(second.Viewer), h(third.Viewer)));
    expect(sent(server, "join").map(({ history }) => history)).toEqual([2]);
    expect(second.last()).toBe(first.last());
    expect(datas(third.last()?.messages)).toEqual([4, 5]);
  });

  test("StrictMode mounts twice and joins once", async () => {
    const server = serve();
    const client = clientOf(server);
    const { Viewer, last } = viewer("a");
    void client.connect();
    await pass(50);
    await mount(client, h(StrictMode, null, h(Viewer)));
    await wait(1_000);
    expect([sent(server, "join").length, sent(server, "leave").length, last()?.status]).toEqual([1, 0, "joined"]);
  });

  test("leaves a tick after the last component is gone, not before", async () => {
    const server = serve();
    const client = clientOf(server);
    const one = viewer("a");
    const two = viewer("a");
    const root = await mount(client, h(Fragment, null, h(one.Viewer, { key: 1 }), h(two.Viewer, { key: 2 })));
    await render(root, client, h(Fragment, null, h(two.Viewer, { key: 2 })));
    expect(sent(server, "leave").length).toBe(0);
    act(() => root.render(h(RoomcastProvider, { client })));
    expect(client.room("a").status).toBe("joined");
    await wait();
    expect([sent(server, "leave").length, client.room("a").status]).toEqual([1, "left"]);
  });

  test("a move from one component to another is no leave", async () => {
    const server = serve();
    const client = clientOf(server);
    const one = viewer("a");
    const two = viewer("a");
    const root = await mount(client, h(one.Viewer));
    await render(root, client, h(two.Viewer));
    await wait(1_000);
    expect([sent(server, "join").length, sent(server, "leave").length]).toEqual([1, 0]);
  });

  test("who comes back joins again, and begins with the history again", async () => {
    const server = serve();
    server.room("a").publish("kept");
    const client = clientOf(server);
    const { Viewer, last } = viewer("a", { history: 5 });
    const root = await mount(client, h(Viewer));
    await render(root, client, null);
    await render(root, client, h(Viewer));
    expect([sent(server, "join").length, datas(last()?.messages)]).toEqual([2, ["kept"]]);
  });

  test("another name is another room", async () => {
    const server = serve();
    server.room("b").publish("of b");
    const client = clientOf(server);
    let view: RoomView | undefined;
    const Named = ({ name }: { name: string }) => {
      view = useRoom(name, { history: 5 });
      return null;
    };
    const root = await mount(client, h(Named, { name: "a" }));
    await render(root, client, h(Named, { name: "b" }));
    expect([datas(view?.messages), client.room("a").status, client.room("b").status]).toEqual([["of b"], "left", "joined"]);
  });

  test("a room that the application has with other options keeps those", async () => {
    const server = serve();
    for (let data = 1; data <= 5; data++) server.room("a").publish(data);
    const client = clientOf(server);
    client.room("a", { history: 1 });
    const { Viewer, last } = viewer("a", { history: 5 });
    await mount(client, h(Viewer));
    expect(datas(last()?.messages)).toEqual([5]);
  });

  test("a refused join shows as left", async () => {
    const server = serve();
    server.intercept = (socket, { type, id, room }) => {
      if (type != "join") return false;
      socket.give({ type: "error", id, room, code: "forbidden", message: "no" });
      return true;
    };
    const { Viewer, last } = viewer("a");
    await mount(clientOf(server), h(Viewer));
    expect(last()?.status).toBe("left");
  });
});
