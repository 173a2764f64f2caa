// A bot for Roomcast (Node 20 or newer): it answers `!time` in a room, and counts the words of each user
// into a state room. It resumes where it was, after a lost connection and after its own end.
//
//   ROOMCAST_URL=ws://127.0.0.1:8080/ws ROOM=demo:lobby COUNTS=board:words node bot.mjs
import { Client } from "@roomcast/client";
import { WebSocket } from "ws";

const { ROOMCAST_URL = "ws://127.0.0.1:8080/ws", ROOM = "demo:lobby", COUNTS = "board:words", USER_NAME = "bot" } = process.env;
const MAX_AGE = 60_000; // ms: a question that is older gets no answer any more
const END = 5_000; // ms that what is under way has when the bot is to end

const client = new Client(ROOMCAST_URL, { user: USER_NAME, WebSocket });
client.on("reconnecting", ({ delayMs, code }) => console.log(`reconnecting in ${Math.round(delayMs)} ms`, code ?? ""));
client.on("resumed", () => console.log("resumed"));

// A value is {words, epoch, seq}: the count, and the message up to which it counts. Whatever becomes of
// the bot in between, it counts no message twice.
const counts = client.room(COUNTS);
await counts.join();
const latest = [...counts.state.values()].sort((one, other) => one.seq - other.seq).at(-1)?.data;
const totals = new Map([...counts.state].map(([key, { data }]) => [key, data]));

const room = client.room(ROOM, latest ? { since: { epoch: latest.epoch, seq: latest.seq } } : {});
room.on("gap", ({ from, to }) => console.log(`messages ${from} to ${to} are not counted`));
room.on("reset", ({ lost }) => console.log(`${ROOM} was started again; ${lost} messages are lost`));

process.once("SIGTERM", () => {
  // The loop below ends behind the message that it is at.
  void room.leave().catch(() => {});
  setTimeout(() => client.close(), END).unref();
});

// Not awaited: the loop must be there for the first message. It throws what the join is refused with.
room.join().then(() => console.log(`in ${ROOM}`), (error) => console.error(`not joined: ${error.code}`));
try {
  for await (const message of room) {
    if (message.user === USER_NAME) continue;
    const text = String(message.data?.text ?? message.data);
    await answer(message, text);
    await count(message, text);
  }
} catch (error) {
  console.error(`ended: ${error.code ?? error}`);
  process.exitCode = 1;
}
await client.close();
console.log("ended");

async function answer({ epoch, seq, time }, text) {
  if (text.trim() !== "!time" || time < Date.now() - MAX_AGE) return;
  // The key makes it one answer, should the bot meet this question again.
  await tried(room.publish({ text: `It is ${new Date(time).toISOString()}.` }, { key: `time-${epoch}-${seq}` }));
}

async function count({ user, epoch, seq }, text) {
  const key = user ?? "";
  const before = totals.get(key) ?? { words: 0 };
  if (before.epoch === epoch && before.seq >= seq) return;
  const words = before.words + (text.match(/[\p{L}\p{N}']+/gu)?.length ?? 0);
  totals.set(key, { words, epoch, seq });
  await tried(counts.publish({ words, epoch, seq }, key ? { stateKey: key } : {}));
}

/** A refusal of one message is no reason to end. */
function tried(publish) {
  return publish.catch((error) => {
    if (client.state === "closed") throw error;
    console.error(`not published: ${error.code}`);
  });
}
