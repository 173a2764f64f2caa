// React, Vue and Svelte on a server: they draw what is there before a join, and open nothing.
import { createElement as h } from "react";
import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import { createSSRApp, h as vueElement } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";
import { RoomcastProvider, useConnection, useRoom, useRoomState } from "../src/react.js";
import { connection, room, roomState } from "../src/svelte.js";
import * as vue from "../src/vue.js";
import { clientOf, pass, serve, useFakeTime } from "./support.js";

useFakeTime();

test("React draws an empty room and opens nothing", async () => {
  const server = serve();
  const client = clientOf(server);
  const Page = () => {
    const { messages, members, typing, status } = useRoom("a", { history: 5, presence: true });
    return h("p", null, [useConnection(), status, messages.length, members.size, typing.length, useRoomState("s").size].join(" "));
  };
  expect(renderToString(h(RoomcastProvider, { client }, h(Page)))).toBe("<p>idle joining 0 0 0 0</p>");
  await pass(60_000);
  expect([server.handshakes.length, client.state]).toEqual([0, "idle"]);
});

test("Vue draws an empty room and opens nothing", async () => {
  const server = serve();
  const client = clientOf(server);
  const app = createSSRApp({
    setup() {
      const view = vue.useRoom(client, "a");
      const state = vue.useConnection(client);
      const values = vue.useRoomState(client, "s");
      return () => vueElement("p", `${state.value} ${view.value.status} ${values.value.size}`);
    },
  });
  expect(await renderVue(app)).toBe("<p>idle joining 0</p>");
  await pass(60_000);
  expect(server.handshakes.length).toBe(0);
});

test("Svelte's stores have a value and open nothing", async () => {
  const server = serve();
  const client = clientOf(server);
  const values: unknown[] = [];
  room(client, "a").subscribe(({ status }) => values.push(status))();
  connection(client).subscribe((state) => values.push(state))();
  roomState(client, "s").subscribe(({ size }) => values.push(size))();
  await pass(60_000);
  expect([values, server.handshakes.length]).toEqual([["joining", "idle", 0], 0]);
});
