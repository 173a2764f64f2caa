// @vitest-environment happy-dom
// Vue's composables and Svelte's stores on the fake server.
import { expect, test } from "vitest";
import { createApp, h, nextTick, ref } from "vue";
import type { Message } from "../src/index.js";
import { connection, room, roomState } from "../src/svelte.js";
import * as vue from "../src/vue.js";
import { clientOf, pass, sent, serve, useFakeTime } from "./support.js";

useFakeTime();
const datas = (messages: readonly Message[] = []) => messages.map(({ data }) => data);

test("Vue: a room follows its name, and is left after the component is gone", async () => {
  const server = serve({ state: true });
  server.room("a").publish("of a", { state_key: "x" });
  server.room("b").publish("of b", { state_key: "y" });
  const client = clientOf(server);
  const name = ref("a");
  const app = createApp({
    setup() {
      const view = vue.useRoom(client, name, { history: 5 });
      const state = vue.useConnection(client);
      const values = vue.useRoomState(client, name);
      return () => h("p", `${state.value} ${view.value.status} ${[...values.value.keys()].join()}`);
    },
  });
  const element = document.createElement("div");
  app.mount(element);
  await pass(50);
  expect(element.textContent).toBe("connected joined x");
  name.value = "b";
  await nextTick();
  await pass(50);
  expect([element.textContent, client.room("a").status]).toEqual(["connected joined y", "left"]);
  app.unmount();
  await pass(50);
  expect([client.room("b").status, sent(server, "join").length]).toEqual(["left", 2]);
});

test("Svelte: subscribers share a membership, get the value at once, and the last one leaves", async () => {
  const server = serve();
  server.room("a").publish("old");
  const client = clientOf(server);
  const store = room(client, "a", { history: 5 });
  const seen: unknown[][] = [];
  const end = store.subscribe(({ messages }) => seen.push(datas(messages)));
  await pass(50);
  server.room("a").publish("new");
  await pass(50);
  expect([seen[0], seen.at(-1)]).toEqual([[], ["old", "new"]]);
  const late: unknown[][] = [];
  const endLate = store.subscribe(({ messages }) => late.push(datas(messages)));
  expect(late).toEqual([["old", "new"]]);
  end();
  await pass(50);
  expect(client.room("a").status).toBe("joined");
  endLate();
  await pass(50);
  expect([client.room("a").status, sent(server, "join").length]).toEqual(["left", 1]);
});

test("Svelte: the connection and the state of a room", async () => {
  const server = serve({ state: true });
  const client = clientOf(server);
  const states: string[] = [];
  const sizes: number[] = [];
  connection(client).subscribe((state) => states.push(state));
  roomState(client, "s").subscribe(({ size }) => sizes.push(size));
  await pass(50);
  server.room("s").publish(1, { state_key: "x" });
  await pass(50);
  expect(states).toEqual(["idle", "connecting", "connected"]);
  expect([sizes[0], sizes.at(-1)]).toEqual([0, 1]);
});
