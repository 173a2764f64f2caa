// Roomcast in an Express backend: tokens for the user of the session, messages over /v1, and a logout
// that ends the session's connections.
//
//   ROOMCAST_SECRET_FILE=secret ROOMCAST_KEY=shop.… node backend.mjs
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import express from "express";
import session from "express-session";
import { SignJWT } from "jose";

const { ROOMCAST_URL = "http://127.0.0.1:8080", ROOMCAST_SECRET_FILE, ROOMCAST_KEY, PORT = "3000" } = process.env;
// The secret that the nodes have too (auth.hs_secret_file): the first line is the present one.
const secret = new TextEncoder().encode(readFileSync(ROOMCAST_SECRET_FILE, "utf8").split("\n")[0].trim());
const TOKEN_SECONDS = 600;
const ROOMS = { "chat:*": ["join", "publish", "history"], "inbox:{sub}": ["join"] };
const USERS = { alice: "wonderland", bob: "builder" }; // In the place of your own login.

// 429 and 503 say when to come back; after 504, or without an answer, nothing is sure: sent again with
// the same key a message is stored once.
async function roomcast(path, body) {
  const headers = { authorization: `Bearer ${ROOMCAST_KEY}`, "content-type": "application/json", "idempotency-key": randomUUID() };
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(ROOMCAST_URL + path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => null);
    if (attempt === 5 || (answer && ![429, 503, 504].includes(answer.status))) return answer;
    await pause(Number(answer?.headers.get("retry-after") ?? 0.2 * attempt) * 1000 * (1 + Math.random()));
  }
}

const app = express();
app.use(express.json({ limit: "64kb", strict: false }));
app.use(session({ secret: randomBytes(32).toString("hex"), resave: false, saveUninitialized: false, cookie: { sameSite: "lax" } }));

app.post("/login", (request, response, next) => {
  const { user, password } = request.body ?? {};
  if (!Object.hasOwn(USERS, user) || USERS[user] !== password) return response.sendStatus(401);
  request.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(request.session, { user, jti: randomUUID() });
    response.sendStatus(204);
  });
});
app.use(({ session }, response, next) => (session.user ? next() : response.sendStatus(401)));

app.post("/token", async ({ session: { user, jti } }, response) => {
  const token = new SignJWT({ rooms: ROOMS }).setProtectedHeader({ alg: "HS256" }).setSubject(user).setJti(jti);
  response.set("Cache-Control", "no-store").json({ token: await token.setExpirationTime(`${TOKEN_SECONDS}s`).sign(secret) });
});

app.post("/rooms/:room/messages", async ({ params: { room }, session: { user }, body }, response) => {
  if (!room.startsWith("chat:")) return response.sendStatus(403); // Your own rules.
  const answer = await roomcast(`/v1/rooms/${encodeURIComponent(room)}/messages`, { data: body, user });
  response.status(answer?.status ?? 502).json(answer ? await answer.json() : {});
});

app.post("/logout", async ({ session }, response) => {
  // Ends the connections that came with this session's tokens, and keeps these out while they last.
  const answer = await roomcast("/v1/bans", { jti: session.jti, seconds: TOKEN_SECONDS, reason: "logged out" });
  session.destroy(() => response.sendStatus(answer?.ok ? 204 : 502));
});

app.listen(Number(PORT), "127.0.0.1", () => console.log(`backend: http://127.0.0.1:${PORT}/`));
