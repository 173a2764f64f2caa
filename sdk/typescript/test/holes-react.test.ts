// @vitest-environment happy-dom
// Holes as components see them: a gap is shown, and after a reset nothing that the room holds is missing.
import { createElement as h } from "react";
import { describe, expect, test } from "vitest";
import type { FakeServer } from "../src/testing.js";
import { room as svelteRoom } from "../src/svelte.js";
import { datas, mount, render, useReact, viewer, wait } from "./react-support.js";
import { clientOf, outcome, pass, sent, serve, useFakeTime } from "./support.js";

useFakeTime();
useReact();

const publish = (server: FakeServer, ...data: unknown[]) => data.forEach((one) => server.room("a").publish(one));

describe("a gap", () => {
  test("is shown with its epoch, and a newer one takes its place", async () => {
    const server = serve();
    const { Viewer, last } = viewer("a");
    await mount(clientOf(server), h(Viewer));
    expect(last()?.gap).toBe(null);
    publish(server, "one");
    server.room("a").gap(3);
    publish(server, "five");
    await wait();
    const { epoch } = server.room("a");
    expect([last()?.gap, datas(last()?.messages)]).toEqual([{ epoch, from: 2, to: 4 }, ["one", "five"]]);
    server.room("a").gap(1);
    await wait();
    expect(last()?.gap).toEqual({ epoch, from: 6, to: 6 });
  });

  test("is no more when what was before it has scrolled away", async () => {
    const server = serve();
    const { Viewer, last } = viewer("a", { keep: 2 });
    await mount(clientOf(server), h(Viewer));
    publish(server, 1);
    server.room("a").gap(1);
    publish(server, 3);
    await wait();
    expect([last()?.gap?.to, datas(last()?.messages)]).toEqual([2, [1, 3]]);
    publish(server, 4);
    await wait();
    expect([last()?.gap, datas(last()?.messages)]).toEqual([null, [3, 4]]);
  });

  test("that newer values of the same keys stand for is none", async () => {
    const server = serve({ state: true });
    const { Viewer, last } = viewer("a");
    await mount(clientOf(server), h(Viewer));
    server.room("a").gap(2, { conflated: true });
    await wait();
    expect(last()?.gap).toBe(null);
  });

  test("shown by a component ends loops of the application all the same", async () => {
    const server = serve();
    const client = clientOf(server);
    const { Viewer } = viewer("a");
    await mount(client, h(Viewer));
    const iterator = client.room("a")[Symbol.asyncIterator]();
    server.room("a").gap(2);
    await wait();
    expect(await outcome(iterator.next())).toBe("gap");
  });
});

describe("a reset", () => {
  /** A view of these messages whose link is lost while the room is reset. */
  async function away(server: FakeServer, act: () => void, options = {}) {
    const { Viewer, last } = viewer("a", { history: 10, ...options });
    publish(server, "one", "two", "three");
    const client = clientOf(server);
    const root = await mount(client, h(Viewer));
    server.disconnect();
    act();
    await wait(2000);
    return { client, last, root, Viewer };
  }

  test("keeps what was shown, and reads what the new epoch held already, each once and in order", async () => {
    const server = serve();
    const { last } = await away(server, () => {
      server.room("a").reset(2);
      publish(server, "other two", "other three", "four");
    });
    publish(server, "five");
    await wait();
    expect(datas(last()?.messages)).toEqual(["one", "two", "three", "other two", "other three", "four", "five"]);
    expect(last()?.messages.map(({ seq }) => seq)).toEqual([1, 2, 3, 2, 3, 4, 5]);
    expect([last()?.gap, last()?.messages.at(-1)?.room]).toEqual([null, "a"]);
  });

  test("of a room that lost everything reads all that it holds now", async () => {
    const server = serve();
    const { last } = await away(server, () => {
      server.room("a").reset(3);
      publish(server, "new one", "new two", "new three", "new four");
    });
    expect(datas(last()?.messages)).toEqual(["one", "two", "three", "new one", "new two", "new three", "new four"]);
  });

  test("while connected reads nothing: what follows comes", async () => {
    const server = serve();
    const { Viewer, last } = viewer("a", { history: 10 });
    publish(server, "one", "two");
    await mount(clientOf(server), h(Viewer));
    server.room("a").reset(1);
    publish(server, "other two");
    await wait();
    expect([datas(last()?.messages), sent(server, "history").length]).toEqual([["one", "two", "other two"], 0]);
  });

  test("puts what is read before messages that came meanwhile", async () => {
    const server = serve();
    server.intercept = (socket, frame) => {
      if (frame.type != "history") return false;
      server.intercept = undefined;
      publish(server, "live");
      setTimeout(() => server.received(socket, frame), 100);
      return true;
    };
    const { last } = await away(server, () => {
      server.room("a").reset(3);
      publish(server, "new one");
    });
    expect(datas(last()?.messages)).toEqual(["one", "two", "three", "new one", "live"]);
  });

  test("says as a gap what may not be read", async () => {
    const server = serve();
    server.intercept = (socket, { type, id, room }) => {
      if (type == "history") socket.give({ type: "error", id, room, code: "forbidden", message: "history" });
      return type == "history";
    };
    const { last } = await away(server, () => {
      server.room("a").reset(3);
      publish(server, "new one", "new two");
    });
    expect([last()?.gap, datas(last()?.messages)]).toEqual([{ epoch: server.room("a").epoch, from: 1, to: 2 }, ["one", "two", "three"]]);
  });

  test("reads no more than the view keeps", async () => {
    const server = serve();
    const { last } = await away(server, () => {
      server.room("a").reset(3);
      publish(server, 1, 2, 3, 4, 5);
    }, { keep: 3 });
    expect([datas(last()?.messages), sent(server, "history").map(({ limit, before }) => [limit, before])]).toEqual([[3, 4, 5], [[3, 6]]]);
  });

  test("of another one's time changes nothing more", async () => {
    const server = serve();
    let held: (() => void) | undefined;
    server.intercept = (socket, frame) => {
      if (frame.type != "history" || held) return false;
      held = () => server.received(socket, frame);
      return true;
    };
    const { last } = await away(server, () => {
      server.room("a").reset(3);
      publish(server, "first life");
    });
    server.disconnect();
    server.room("a").reset(1);
    publish(server, "second life");
    await wait(2000);
    held?.();
    await wait();
    expect(datas(last()?.messages)).toEqual(["one", "two", "three", "second life"]);
  });

  test("Svelte's store shows the same", async () => {
    const server = serve();
    publish(server, "one");
    let [shown, gap]: unknown[] = [];
    const end = svelteRoom(clientOf(server), "a", { history: 5 }).subscribe((view) => ([shown, gap] = [datas(view.messages), view.gap]));
    await pass(50);
    server.disconnect();
    server.room("a").reset(1);
    publish(server, "new one");
    await pass(2000);
    expect([shown, gap]).toEqual([["one", "new one"], null]);
    end();
  });
});

describe("a room that the application has joined by itself", () => {
  test("is shown with its history, and is not left with the component", async () => {
    const server = serve();
    publish(server, 1, 2, 3);
    const client = clientOf(server);
    await Promise.all([client.room("a", { history: 2 }).join(), pass()]);
    publish(server, 4);
    await pass();
    const { Viewer, last } = viewer("a", { history: 2 });
    const root = await mount(client, h(Viewer));
    publish(server, 5);
    await wait();
    expect(datas(last()?.messages)).toEqual([3, 4, 5]);
    await render(root, client, null);
    await wait();
    expect([client.room("a").status, sent(server, "leave").length]).toEqual(["joined", 0]);
  });
});
