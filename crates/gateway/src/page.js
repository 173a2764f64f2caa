// The page's client: one connection, one room. It resumes, moves when it is asked to, and shows what
// is missing. docs/protocol.md has the rules; pure functions come first, then what is shown.
"use strict";

const HISTORY = 50;          // messages shown of what was there before
const SHOWN = 500;           // lines kept on the page
const MIN_PAUSE = 200;       // ms; pauses as the Rust client's
const MAX_PAUSE = 20_000;    // ms
const LONG_LIFE = 5_000;     // ms; a connection that lived this long resets the pauses
const NAMES = 20;            // users named on the page
const TYPING_PAUSE = 2_000;  // ms between two words that the user is writing; the node ends it after 3 s

// --- pure functions ---

/** Whether to come back after this close code: docs/protocol.md has the table. */
function reconnects(code) {
  if ([1002, 1003, 1007, 1008, 1009].includes(code)) return false;
  return !(code >= 3500 && code <= 3999) && !(code >= 4500 && code <= 4999);
}

/** Whether to come back after a handshake was refused with this HTTP status. */
function returns(status) {
  return status >= 500 || [408, 425, 426, 429].includes(status);
}

/** The pause in ms before the next try: full jitter under a ceiling that doubles. */
function pauseAfter(failures, random) {
  const ceiling = Math.min(MAX_PAUSE, MIN_PAUSE * 2 ** failures);
  return Math.min(MAX_PAUSE, MIN_PAUSE + random * ceiling);
}

/** What was typed: an object or a list if it reads as one, a number if JSON spells it so, else text. */
function toData(text) {
  try {
    const value = JSON.parse(text);
    if (typeof value === "string") return text;
    return typeof value === "object" || JSON.stringify(value) === text.trim() ? value : text;
  } catch { return text; }
}

function toText(data) {
  return typeof data === "string" ? data : JSON.stringify(data);
}

function socketUrl(place, query) {
  const scheme = place.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${place.host}/ws?${query}`;
}

/** The token in the page's address, after `#token=`: browsers do not send that part to a server. */
function tokenIn(hash) {
  return new URLSearchParams(hash.slice(1)).get("token");
}

/** What a reset means to a reader. */
function resetText(lost) {
  if (!lost) return "The room was started again. No message above is lost.";
  const what = lost === 1 ? "the last message above is" : `the last ${lost} messages above are`;
  return `The room was started again, because its node or its Redis lost data: ${what} no longer in the room.`;
}

/** `at`, unless `stood` is ahead of it in the same epoch: nothing is shown twice. */
function furthest(stood, at) {
  return stood?.epoch === at.epoch && stood.seq > at.seq ? stood : at;
}

/**
 * Where the reader stands after this frame; null if it tells nothing new. Acks do not move it.
 * After a join that did not recover, `beyond` is where the room goes on, and the position waits
 * for the gap or reset that names what is missing: a connection lost before must not hide it.
 */
function advance(position, { type, epoch, seq, to, recovered, state, more }) {
  const beyond = position?.beyond ?? position;
  // A snapshot of the room's state follows: the position waits for its last part.
  if (state || (position?.waits && ["message", "gap"].includes(type))) return { ...position, waits: true };
  switch (type) {
    case "state":
      return more ? { ...position, waits: true } : { epoch, seq };
    case "joined":
      if (recovered === false && position) return { ...position, beyond: { epoch, seq } };
      return furthest(position, { epoch, seq });
    case "reset":
      return { epoch, seq };
    case "message": {
      const from = furthest(position, beyond);
      return seq > from.seq ? { epoch: from.epoch, seq } : null;
    }
    case "gap": {
      const known = position.epoch === beyond.epoch ? position.seq : 0;
      return to > known ? { epoch: beyond.epoch, seq: to } : null;
    }
    default:
      return position;
  }
}

/** The people of a room after this frame: numbers, and a list of users as long as it is known. */
function meet(people, { type, user, status, count, users, rev, rev_epoch, list, members }) {
  const numbers = { count: count ?? people.count, users: users ?? people.users, rev: rev ?? people.rev };
  const named = new Map(people.named);
  switch (type) {
    case "joined": {
      const isSame = people.rev_epoch === rev_epoch && people.rev === rev;
      return { ...people, ...numbers, rev_epoch, isKnown: isSame && people.isKnown };
    }
    case "members":
      members.forEach((member) => member.user && named.set(member.user, member.status));
      return { ...numbers, rev_epoch, named, isKnown: true };
    case "user_joined": named.set(user, status); break;
    case "user_left": named.delete(user); break;
    case "presence": if (named.has(user)) named.set(user, status); break;
    case "count": if (!list && rev > people.rev) return { ...numbers, rev_epoch: people.rev_epoch, named: new Map() };
  }
  return { ...people, ...numbers, named };
}

/** What a reader wants to know of them. */
function peopleText({ count, users, named }, writing) {
  if (count === undefined) return "";
  const names = [...named].slice(0, NAMES).map(([user, status]) => (status === "away" ? `${user} (away)` : user));
  if (users > names.length && names.length) names.push(`${users - names.length} more`);
  const who = names.length ? `: ${names.join(", ")}` : "";
  const writes = writing.size ? ` ${[...writing].join(", ")} ${writing.size > 1 ? "are" : "is"} writing …` : "";
  return `${count} ${count === 1 ? "connection" : "connections"} here${who}.${writes}`;
}

function randomHex(bytes) {
  const numbers = crypto.getRandomValues(new Uint8Array(bytes));
  return [...numbers].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --- what is shown; text only, never markup ---

const $ = (selector) => document.querySelector(selector);
const list = $("#messages");

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Puts lines after another one, which is the last unless given. */
function show(lines, above = list.lastElementChild) {
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  if (above) above.after(...lines);
  else list.append(...lines);
  while (list.childElementCount > SHOWN) list.firstElementChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
}

function messageLine({ seq, time, user, event, data }) {
  const line = document.createElement("li");
  const body = document.createElement("span");
  if (user) body.append(element("span", "user", user));
  if (event) body.append(element("span", "event", event));
  body.append(element("span", "data", toText(data)));
  const when = element("time", "", new Date(time).toLocaleTimeString());
  when.dateTime = new Date(time).toISOString();
  line.append(element("span", "seq", seq), body, when);
  return line;
}

const noticeLine = (text) => element("li", "notice", text);
const notice = (text) => show([noticeLine(text)]);
const ackLine = (text) => { $("#acks").textContent = text; };

function status(state, text) {
  $("#status").dataset.state = state;
  $("#status").textContent = text;
}

// --- the client: one connection, one room ---

const client = randomHex(8);
const wish = { room: "", user: "" };      // what the forms last said
const pending = new Map();                // publishes without an answer: id → {frame, text, sent, first}
const timers = new Map();                 // of the present connection or pause: name → timer
let socket = null;
let heartbeat = null;                     // of the present connection; null before `connected`
let member = false;
let position = null;                      // in wish.room; null before the first `joined`
let reading = null;                       // history to show after a reset; null if none waits
let people = { named: new Map() };        // in wish.room
let writing = new Set();                  // users and connections that are writing there
let presence = true;                      // false if the node does not allow to see who is there
let listId = 0;                           // of the last `members`
let typingId = 0;                         // of the last `typing`
let typed = 0;                            // when it was sent; Infinity if the node allows none
let attempt = 0;
let failures = 0;
let lastId = 0;

function after(name, ms, action) {
  clearTimeout(timers.get(name));
  timers.set(name, setTimeout(action, ms));
}

function send(frame) {
  const open = heartbeat && socket?.readyState === WebSocket.OPEN;
  if (open) socket.send(JSON.stringify(frame));
  return Boolean(open);
}

function sendPending(entry) {
  entry.sent = send(entry.frame) || entry.sent;
}

function connect() {
  stop();
  attempt += 1;
  status("connecting", "connecting");
  const query = new URLSearchParams({ client, attempt, ...(wish.user && { user: wish.user }) });
  const token = tokenIn(location.hash);
  const protocols = token ? ["roomcast.v1.json", `roomcast.token.${token}`] : ["roomcast.v1.json"];
  const own = new WebSocket(socketUrl(location, query), protocols);
  const began = Date.now();
  socket = own;
  own.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    receive(frame);
    if (socket === own) heard();
  };
  own.onclose = ({ code, reason }) => {
    if (heartbeat && Date.now() - began >= LONG_LIFE) failures = 0;
    if (!heartbeat && code === 1006) return refused(query, own);
    if (reconnects(code)) return retry();
    stop();
    status("ended", `closed by the node: ${reason || code}. Press Join to try again.`);
  };
  after("open", 10_000, () => retry("no answer"));
}

/** A browser hides why a handshake failed: the same URL is asked without upgrade. */
async function refused(query, own) {
  let answer = null, problem = {};
  try {
    const token = tokenIn(location.hash);
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    answer = await fetch(`/ws?${query}`, { headers, cache: "no-store", signal: AbortSignal.timeout(5_000) });
    problem = await answer.json();
  } catch { /* Nothing answers, or not in JSON. */ }
  if (own !== socket) return;
  const reason = problem.detail ?? answer?.statusText;
  if (!answer || returns(answer.status)) return retry(answer?.status === 426 ? "" : reason);
  stop();
  status("ended", `refused: ${reason || answer.status}. Change it and press Join.`);
  takeBack();
}

/** What was never sent is not published: its text goes back to where it was typed. */
function takeBack() {
  const unsent = [...pending].filter(([, entry]) => !entry.sent);
  if (!unsent.length) return ackLine("");
  unsent.forEach(([id]) => pending.delete(id));
  const input = $("#publish input");
  input.value ||= unsent[0][1].text;
  ackLine(`not published: ${unsent.map(([, entry]) => entry.text).join(", ")}`);
}

/** Forgets the connection, its timers and its membership. The position stays. */
function stop() {
  if (socket) {
    socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }
  timers.forEach((timer) => clearTimeout(timer));
  timers.clear();
  socket = heartbeat = null;
  member = false;
  // A snapshot that was cut short leaves the position before it.
  if (position?.waits) position = position.epoch ? { epoch: position.epoch, seq: position.seq } : null;
}

function retry(reason = "") {
  stop();
  const pause = pauseAfter(failures++, Math.random());
  const end = Date.now() + pause;
  const count = () => {
    const seconds = Math.ceil((end - Date.now()) / 1000);
    status("waiting", `${reason && `${reason}; `}reconnecting in ${Math.max(seconds, 0)} s`);
    after("count", 1000, count);
  };
  count();
  after("pause", pause, connect);
}

/** A browser hides the node's pings: ask for a pong before silence counts as death. */
function heard() {
  if (!heartbeat?.timeout_ms) return;
  after("ping", heartbeat.timeout_ms / 2, () => send({ type: "ping" }));
  after("dead", heartbeat.timeout_ms, () => retry("the node is silent"));
}

function join() {
  const start = position?.epoch
    ? { since: { epoch: position.epoch, seq: position.seq } }
    : { history: HISTORY };
  send({ type: "join", id: ++lastId, room: wish.room, presence, ...start });
}

function showPeople(next) {
  people = next;
  $("#people").textContent = peopleText(people, writing);
}

/** The list is read again: its first page is more than is shown. */
function askForMembers(ms = 0) {
  after("members", ms, () => send({ type: "members", id: listId = ++lastId, room: wish.room }));
}

function receiveOfPeople(frame) {
  const { type, user, connection, active } = frame;
  if (type === "members" && frame.id !== listId) return;
  if (type === "members" && people.named.size) people = { ...people, named: new Map() };
  if (type === "typing" || type === "user_left") writing.delete(user ?? connection);
  if (type === "typing" && active) writing.add(user ?? connection);
  if (type === "presence_reset") askForMembers(frame.after_ms);
  showPeople(meet(people, frame));
  if (type === "joined" && people.count !== undefined && !people.isKnown) askForMembers();
}

/** The user is writing, or has published: said as often as needed. */
function type(active) {
  if (!member || (active && Date.now() - typed < TYPING_PAUSE) || (!active && !typed)) return;
  typingId = ++lastId;
  const isOver = !active && typed !== Infinity;
  if (typed !== Infinity && send({ type: "typing", id: typingId, room: wish.room, active })) typed = Date.now();
  if (isOver) typed = 0;
}

/** After a reset: what the new epoch has from here up to the reset, shown below this line. */
function readAgain(from, { epoch, seq }, above) {
  reading = null;
  if (from > seq) return;
  const limit = Math.min(HISTORY, seq - from + 1);
  const request = { type: "history", id: ++lastId, room: wish.room, before: seq + 1, limit };
  reading = { epoch, from, seq, above, request };
  send(request);
}

function showRead({ id, epoch, messages }) {
  if (id !== reading?.request.id || epoch !== reading.epoch) return;
  const { from, seq, above } = reading;
  reading = null;
  const lines = messages.filter((message) => message.seq >= from).map(messageLine);
  const last = seq - lines.length;
  if (last >= from) lines.unshift(noticeLine(`Messages ${from} to ${last} are not shown.`));
  show(lines, above);
}

/** Whether the text waits for its answer now. `first` says what was done before it. */
function publish(text, first) {
  if (pending.size >= 100) {
    ackLine("not published: too many messages wait for an answer");
    return false;
  }
  const id = ++lastId;
  // With a key it may be sent again after a reconnect and is still stored once.
  const frame = { type: "publish", id, room: wish.room, key: randomHex(16), data: toData(text) };
  const entry = { frame, text, first, sent: false };
  pending.set(id, entry);
  ackLine(first + (heartbeat ? "publishing" : "will be published when connected"));
  sendPending(entry);
  return true;
}

function receive(frame) {
  switch (frame.type) {
    case "connected":
      clearTimeout(timers.get("open"));
      heartbeat = frame.heartbeat;
      status("connected", `connected to node ${frame.node}`);
      join();
      pending.forEach(sendPending);
      break;
    case "reconnect": after("move", frame.after_ms, connect); break;
    case "ack": {
      const { first } = pending.get(frame.id) ?? {};
      if (pending.delete(frame.id)) ackLine(`${first}published in ${frame.room} as ${frame.seq}`);
      break;
    }
    case "error": failed(frame); break;
    default: if (frame.room === wish.room) receiveInRoom(frame);
  }
}

function receiveInRoom(frame) {
  if (frame.type === "joined") member = true;
  if (!member) return;
  const before = position;
  const next = advance(before, frame);
  if (!next || (before?.waits && frame.type === "message")) return;
  position = next;
  switch (frame.type) {
    case "joined":
      $("#hint").textContent = `No message is in ${wish.room} yet. Publish one below: it appears here, `
        + "and in every other window that joined the room.";
      if (reading) send(reading.request);
      writing = new Set();
      receiveOfPeople(frame);
      break;
    case "typing": case "user_joined": case "user_left": case "count": case "members": case "presence":
    case "presence_reset":
      receiveOfPeople(frame);
      break;
    case "state": show(frame.entries.map((entry) => messageLine({ ...entry, event: entry.key }))); break;
    case "message": show([messageLine(frame)]); break;
    case "gap":
      notice(`Messages ${frame.from} to ${frame.to} are missing: the room no longer keeps them.`);
      break;
    case "reset": {
      const line = noticeLine(resetText(frame.lost));
      show([line]);
      ackLine("");
      if (!frame.state) readAgain(Math.max(before.seq - frame.lost, 0) + 1, frame, line);
      break;
    }
    case "history": showRead(frame); break;
    case "left":
      member = false;
      notice(`You are out of the room${frame.reason ? `: ${frame.reason}` : ""}.`);
  }
}

function failed({ id, code, message, retry_after_ms }) {
  const passing = ["overloaded", "bus_unavailable", "publish_unknown"].includes(code);
  const pause = Math.max(retry_after_ms ?? 0, pauseAfter(2, Math.random()));
  const entry = pending.get(id);
  if (id === typingId) return void (typed = passing ? typed : Infinity);
  if (id === listId) return;
  if (code === "forbidden" && !member && presence) {
    presence = false;
    join();
  } else if (!entry) {
    notice(`${code}: ${message}`);
    if (passing && !member) after("join", pause, join);
  } else if (passing) {
    ackLine(`${code}: trying again`);
    after(id, pause, () => pending.has(id) && sendPending(entry));
  } else {
    pending.delete(id);
    ackLine(`not published: ${message} (${code})`);
  }
}

// --- the forms ---

$("#join").addEventListener("submit", (event) => {
  event.preventDefault();
  const { room, user } = Object.fromEntries(new FormData(event.target));
  if (!room.trim()) return ackLine("give the room a name first");
  const known = { ...wish };
  if (!pending.size) ackLine("");
  Object.assign(wish, { room: room.trim(), user: user.trim() });
  if (known.room !== wish.room) {
    if (known.room) send({ type: "leave", id: ++lastId, room: known.room });
    list.replaceChildren();
    position = reading = null;
    member = false;
    presence = true;
    typed = 0;
    showPeople({ named: new Map() });
    if (heartbeat && known.user === wish.user) join();
  }
  if (!socket || known.user !== wish.user) connect();
  history.replaceState(null, "", `?${new URLSearchParams(wish)}`);
  $("#publish input").focus();
});

$("#publish").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = event.target.elements.text;
  const joins = !wish.room || !(socket || timers.has("pause"));
  if (joins) $("#join").requestSubmit();
  if (!wish.room) return;
  if (publish(input.value, joins ? `joined ${wish.room} first; ` : "")) input.value = "";
  type(false);
});

$("#publish").addEventListener("input", (event) => type(event.target.value !== ""));

addEventListener("online", () => { if (timers.has("pause")) connect(); });

for (const [name, value] of new URLSearchParams(location.search)) {
  if (name === "room" || name === "user") $("#join").elements[name].value = value;
}
if (new URLSearchParams(location.search).has("room")) $("#join").requestSubmit();
