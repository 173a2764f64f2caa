// An application that docs/testing.md tests: what a page shows of a chat.

import type { Client } from "@roomcast/client";

export function openChat(client: Client, name: string) {
  const lines: string[] = [];
  const room = client.room(name, { history: 20 });
  room.on("message", ({ user, data }) => lines.push(`${user}: ${String(data)}`));
  room.on("gap", ({ from, to }) => lines.push(`(${to - from + 1} messages are missing)`));
  return { lines, joined: room.join(), say: (text: string) => room.publish(text) };
}
