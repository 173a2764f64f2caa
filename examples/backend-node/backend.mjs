// A backend for Roomcast with nothing but Node (20 or newer): it signs tokens for the users that are
// logged in, publishes to rooms, and bans and disconnects users.
//
//   ROOMCAST_SECRET_FILE=secret ROOMCAST_KEY=shop.… node backend.mjs
//
//   POST /token              a token for the user who is logged in
//   POST /rooms/ROOM         publishes the JSON of the body there, in the user's name
//   POST /ban/USER           shuts the user out for an hour (administrators)
//   POST /disconnect/USER    ends the user's connections; they may come back (administrators)
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const { ROOMCAST_URL = "http://127.0.0.1:8080", ROOMCAST_SECRET_FILE, ROOMCAST_KEY, PORT = "3000" } = process.env;
if (!ROOMCAST_SECRET_FILE || !ROOMCAST_KEY) throw new Error("set ROOMCAST_SECRET_FILE and ROOMCAST_KEY");
// The secret that the nodes have too (auth.hs_secret_file): the first line is the present one.
const secret = readFileSync(ROOMCAST_SECRET_FILE, "utf8").split("\n")[0].trim();

const TOKEN_SECONDS = 600; // Short: what a token allows is judged anew each time a client takes one.
const BAN_SECONDS = 3600;
const ATTEMPTS = 5;

// In the place of your own login and sessions, and of what keeps other sites' pages from using them:
// HTTP's basic authentication.
const users = { alice: "wonderland", bob: "builder", root: "secret" };
const administrators = ["root"];

function loggedIn(request) {
  const [, basic = ""] = (request.headers.authorization ?? "").match(/^Basic (.+)$/) ?? [];
  const [name, password] = Buffer.from(basic, "base64").toString().split(/:(.*)/s);
  return Object.hasOwn(users, name) && users[name] === password ? name : null;
}

// A JWT by HS256: who the user is, until when, and what may be done in which rooms.
function signToken(user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
  const rooms = { "chat:*": ["join", "publish", "history"], "inbox:{sub}": ["join"] };
  const signed = `${part({ alg: "HS256" })}.${part({ sub: user, exp, rooms })}`;
  return { token: `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`, expires: exp * 1000 };
}

// A request to Roomcast. 429 and 503 say when to come back; after 504, or without an answer, nobody
// knows whether the message is stored: sent again with the same key it is stored once.
async function roomcast(path, body) {
  const headers = { authorization: `Bearer ${ROOMCAST_KEY}`, "content-type": "application/json", "idempotency-key": randomUUID() };
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(ROOMCAST_URL + path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => null);
    const again = !answer || [429, 503, 504].includes(answer.status);
    if (!again || attempt === ATTEMPTS) {
      if (!answer) return [502, { code: "no_answer" }];
      const text = await answer.text();
      return [answer.status, text ? JSON.parse(text) : {}];
    }
    const seconds = Number(answer?.headers.get("retry-after") ?? 0.2 * attempt);
    await pause(seconds * 1000 * (1 + Math.random()));
  }
}

const routes = {
  token: (user) => [200, signToken(user)],
  rooms: (user, room, data) => roomcast(`/v1/rooms/${encodeURIComponent(room)}/messages`, { data, user }),
  ban: (_, name) => roomcast("/v1/bans", { user: name, seconds: BAN_SECONDS, reason: "by an administrator" }),
  disconnect: (_, name) => roomcast("/v1/disconnect", { user: name, renew: true }),
};

async function answer(request) {
  const [, word, name = ""] = new URL(request.url, "http://backend").pathname.split("/").map(decodeURIComponent);
  if (request.method !== "POST" || !Object.hasOwn(routes, word)) return [404, {}];
  const user = loggedIn(request);
  if (!user) return [401, {}];
  if (["ban", "disconnect"].includes(word) && !administrators.includes(user)) return [403, {}];
  // Your own rules: this user may write in the rooms of the chat.
  if (word === "rooms" && !name.startsWith("chat:")) return [403, {}];
  let text = "";
  for await (const chunk of request) if ((text += chunk).length > 65_536) return [413, {}];
  return routes[word](user, name, word === "rooms" ? JSON.parse(text) : null);
}

const server = createServer(async (request, response) => {
  const [status, body] = await answer(request).catch((error) => [400, { detail: error.message }]);
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(status === 204 ? "" : JSON.stringify(body));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`backend: http://127.0.0.1:${PORT}/`));
