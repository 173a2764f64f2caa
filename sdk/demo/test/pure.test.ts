// The page's pure modules against what a reader expects of them.
import { describe, expect, it } from "vitest";
import { dataUrl, readContent, toData } from "../src/content";
import { MEASURES, extend, level, liveNodes, readFigures, series, sketch, spell, together } from "../src/figures";
import type { Board } from "../src/figures";
import { NOTE_TIME, indicatorText, nextIndicator, withoutOldNote } from "../src/indicator";
import type { ConnectionEvent, Indicator } from "../src/indicator";
import { linked } from "../src/links";
import { initials, madeUpName, tint, toName, toRoomName } from "../src/names";
import { notifyCommand, readSettings } from "../src/settings";
import { gapText, pendingOf, resetText, rowsOf } from "../src/timeline";
import { EMPTY_WINDOW, nextWindow } from "../src/window";

const figures = (data: object) => readFigures(data);
const measure = (key: string) => MEASURES.find((one) => one.key === key) ?? MEASURES[0];
const message = (seq: number, fields: object = {}) =>
  ({ room: "demo:lobby", epoch: "e", seq, time: 1_764_410_000_000 + seq * 1000, user: "ann", data: null, ...fields });

describe("names", () => {
  it("takes what was typed as the node takes names", () => {
    expect(toName("  Ann  Lee ")).toBe("Ann-Lee");
    expect(toName("a\u200Bb\u00ADc\uFE0F")).toBe("abc");
    expect(new TextEncoder().encode(toName("ü".repeat(200))).length).toBe(128);
    expect(toRoomName("@me")).toBe("me");
  });
  it("makes up names that are names, and draws each the same everywhere", () => {
    expect(madeUpName(() => 0)).toBe("amber-badger-10");
    expect(toName(madeUpName())).not.toBe("");
    expect(tint("ann")).toBe(tint("ann"));
    expect([initials("amber-otter-12"), initials("bob"), initials("李雷"), initials("!")]).toEqual(["AO", "B", "李", "?"]);
  });
});

describe("links", () => {
  const links = (text: string) => linked(text).flatMap((piece) => (typeof piece === "string" ? [] : [piece.href]));
  it("finds addresses, without what ends the sentence", () => {
    expect(links("see https://a.example/x?y=1#z, (http://b.example/), or HTTPS://C.example.")).toEqual(
      ["https://a.example/x?y=1#z", "http://b.example/", "HTTPS://C.example"]);
  });
  it("makes links of nothing else, and loses nothing", () => {
    for (const text of ["javascript:alert(1)", "data:text/html,x", "https://", "//a.example", "<b>https:</b>", ""]) expect(links(text)).toEqual([]);
    const text = "a https://a.example b\nhttps://b.example";
    expect(linked(text).map((piece) => (typeof piece === "string" ? piece : piece.href)).join("")).toBe(text);
  });
});

describe("settings", () => {
  it("reads the address and the marker", () => {
    const read = readSettings(new URL("https://chat.example/live/?room=demo:x&user=a%20b"), "__ROOMCAST_DEMO_KEY__");
    expect(read).toMatchObject({ socket: "wss://chat.example/live/ws", room: "demo:x", user: "a-b", key: "", token: "" });
    expect(readSettings(new URL("http://127.0.0.1:8080/"), "demo.s3").socket).toBe("ws://127.0.0.1:8080/ws");
  });
  it("shows whom a token names, and only that", () => {
    const token = `h.${btoa(JSON.stringify({ sub: "ann" }))}.s`;
    expect(readSettings(new URL(`http://127.0.0.1/?user=bob#token=${token}`), "")).toMatchObject({ user: "ann", token });
    expect(readSettings(new URL("http://127.0.0.1/#token=nonsense"), "").user).toBe("");
  });
  it("writes a line that a shell runs as it stands, whatever the user is called", () => {
    const line = notifyCommand({ origin: "http://127.0.0.1:8080", key: "demo.s3" }, "o'neil/$HOME");
    expect(line).toContain(String.raw`'http://127.0.0.1:8080/v1/users/o'\''neil%2F%24HOME/messages'`);
    expect(line).toContain("-H 'Authorization: Bearer demo.s3'");
    expect(notifyCommand({ origin: "http://127.0.0.1", key: "" }, "ann")).toContain("Bearer $KEY");
  });
});

describe("content", () => {
  const picture = { bytes: new Uint8Array([1, 2, 255]), type: "image/jpeg", width: 4, height: 3 };
  it("reads back what it made", () => {
    expect(readContent(toData({ text: "hi", picture }))).toEqual({ text: "hi", picture });
    expect(readContent(toData({ text: "hi" }))).toEqual({ text: "hi" });
    expect(dataUrl(picture)).toBe("data:image/jpeg;base64,AQL/");
  });
  it("shows any data as text, and nothing but images as images", () => {
    expect(readContent({ image: picture.bytes, type: "image/svg+xml" })).toEqual({ text: '{"image":"3 bytes","type":"image/svg+xml"}' });
    expect([readContent("a"), readContent(null), readContent([1])].map(({ text }) => text)).toEqual(["a", "null", "[1]"]);
  });
});

describe("figures", () => {
  const two: Board = new Map([
    ["a", [{ time: 1000, figures: figures({ users: 2, requests: 10, response_ms: 100, cpu: 20 }) }]],
    ["b", [{ time: 1400, figures: figures({ users: 3, requests: 30, response_ms: 20, cpu: 40 }) }]],
  ]);
  it("adds nodes up by what each figure means", () => {
    expect(series(two, ["a", "b"])).toEqual([figures({ users: 5, requests: 40, response_ms: 40, cpu: 30 })]);
    expect(together([]).cpu).toBeNull();
  });
  it("keeps the newest sixty, none twice, and leaves silent nodes out", () => {
    const points = Array.from({ length: 70 }, (_, at) => ({ time: at * 1000, figures: figures({ cpu: at }) }));
    const kept = extend(extend([], points.slice(0, 65)), points);
    expect([kept.length, kept[0]?.time, kept.at(-1)?.time]).toEqual([60, 10_000, 69_000]);
    expect(liveNodes(new Map([["a", points], ["old", [{ time: 1000, figures: figures({}) }]]]))).toEqual(["a"]);
  });
  it("takes a node's last figure for some seconds in which it has none", () => {
    const board = new Map(two);
    const users = [2000, 3000, 4000, 5000].map((time) => ({ time, figures: figures({ users: 7 }) }));
    board.set("a", extend(two.get("a") ?? [], users));
    expect(series(board, ["a", "b"]).map((one) => one.users)).toEqual([5, 10, 10, 10, 7]);
  });
  it("tells warning and critical at their thresholds", () => {
    const levels = (key: string, ...values: number[]) => values.map((value) => level(measure(key), value));
    expect(levels("response_ms", 199.9, 200, 500)).toEqual(["normal", "warning", "critical"]);
    expect(levels("errors", 0.9, 1, 5)).toEqual(["normal", "warning", "critical"]);
    expect(levels("cpu", 69.9, 70, 90)).toEqual(["normal", "warning", "critical"]);
    expect(levels("memory", 74.9, 75, 90)).toEqual(["normal", "warning", "critical"]);
    expect(level(measure("users"), 1e9)).toBe("normal");
  });
  it("spells one decimal and thousands", () => {
    expect(spell(measure("requests"), 12_345.678)).toBe("12,345.7");
    expect(spell(measure("users"), 1234)).toBe("1,234");
    expect(spell(measure("cpu"), null)).toBe("–");
  });
  it("draws a minute from right to left, and a threshold once it is near", () => {
    expect(sketch(measure("users"), [0, null, 10], 59, 11)).toEqual({ line: "57.0,11.0 59.0,1.0", area: "57.0,11 57.0,11.0 59.0,1.0 59,11", limits: [] });
    expect(sketch(measure("cpu"), [30], 59, 10).limits).toEqual([]);
    expect(sketch(measure("cpu"), [36, 36], 59, 10).limits).toHaveLength(1);
    expect(sketch(measure("cpu"), [60, 95], 59, 10).limits).toHaveLength(2);
    expect(sketch(measure("cpu"), [95], 59, 10).limits).toHaveLength(1);
    expect(sketch(measure("cpu"), [], 59, 10)).toEqual({ line: "", area: "", limits: [] });
  });
});

describe("the indicator", () => {
  const after = (...events: ConnectionEvent[]) =>
    events.reduce<Indicator>((last, event) => nextIndicator(last, event, 1000), { kind: "idle" });
  const reconnecting = { name: "reconnecting", attempt: 1, delayMs: 2400 } as const;
  it("counts down, and says connected only while it is", () => {
    expect(indicatorText(after({ name: "opened" }), 0)).not.toContain("connected");
    expect(indicatorText(after(reconnecting), 1000)).toBe("reconnecting in 3 s");
    expect(indicatorText(after(reconnecting), 3500)).toBe("reconnecting in 0 s");
    expect(indicatorText(after(reconnecting, { name: "reconnected" }), 0)).toBe("resuming");
  });
  it("tells resumed or gap for a while", () => {
    const resumed = after(reconnecting, { name: "reconnected" }, { name: "resumed" });
    expect(indicatorText(resumed, 1000)).toBe("connected · resumed");
    expect(indicatorText(withoutOldNote(resumed, 1000 + NOTE_TIME), 0)).toBe("connected");
    const gap = { name: "gap", room: "demo:lobby", from: 3, to: 5 } as const;
    const yetToBeTold = [reconnecting, { name: "reconnected" }, { name: "answered" }] as const;
    expect(indicatorText(after(...yetToBeTold), 1000)).toBe("resuming");
    expect(indicatorText(after(...yetToBeTold, gap), 1000)).toBe("connected · gap");
    expect(indicatorText(after({ name: "connected" }, gap), 0)).toBe("connected · gap");
  });
  it("does not take left out values of a state room for a loss", () => {
    const conflated = { name: "gap", room: "board:nodes", from: 3, to: 5, conflated: true } as const;
    expect(indicatorText(after({ name: "connected" }, conflated), 0)).toBe("connected");
    const back = [reconnecting, { name: "reconnected" }, conflated, { name: "reset", room: "board:nodes", lost: 0 }] as const;
    expect(indicatorText(after(...back), 0)).toBe("resuming");
    expect(indicatorText(after(...back, { name: "answered" }), 1000)).toBe("connected · resumed");
    const gap = { name: "gap", room: "demo:lobby", from: 3, to: 5 } as const;
    expect(indicatorText(after(...back, gap, { name: "answered" }), 1000)).toBe("connected · gap");
  });
});

describe("the conversation", () => {
  it("puts messages of one author together, and what is missing between them", () => {
    const rows = rowsOf([message(1), message(2), message(7), message(8, { user: "bob" })],
      [{ id: "n", epoch: "e", seq: 6, text: gapText({ from: 3, to: 6 }) }], "e");
    expect(rows.map((row) => (row.kind === "notice" ? row.text : [row.message.seq, row.continues]))).toEqual([
      [1, false], [2, true], "Messages 3 to 6 are missing: the room no longer keeps them.", [7, false], [8, false]]);
    const notice = (epoch: string, seq: number) => ({ id: `${epoch}${seq}`, epoch, seq, text: `${epoch}${seq}` });
    const texts = rowsOf([message(5), message(6)], [notice("e", 2), notice("e", 4), notice("e", 6), notice("f", 0), notice("old", 9)], "f")
      .map((row) => (row.kind === "notice" ? row.text : row.message.seq));
    expect(texts).toEqual(["e4", 5, 6, "f0"]);
    expect(resetText({ lost: 1 })).toContain("the last message above did not survive");
  });
  it("shows an own message on its way until it is among the room's", () => {
    const item = { key: "k", room: "demo:lobby", content: { text: "" }, time: 0, state: "waiting", received: 0, read: 0 } as const;
    const sent = { ...item, key: "s", state: "sent", epoch: "e", seq: 3 } as const;
    expect(pendingOf([item, sent], "demo:lobby", [message(2)]).map(({ key }) => key)).toEqual(["k", "s"]);
    expect(pendingOf([item, sent], "demo:lobby", [message(3, { key: "k" })])).toEqual([]);
    expect(pendingOf([item], "demo:other", [])).toEqual([]);
  });
});

describe("the window of rows", () => {
  const ids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => `e:${from + at}`);
  it("grows by what comes, and then by older rows a step at a time", () => {
    const begun = nextWindow(EMPTY_WINDOW, ids(1, 50));
    expect(begun).toEqual({ rows: 30, last: "e:50" });
    expect(nextWindow(begun, ids(1, 53)).rows).toBe(33);
    const flooded = nextWindow(begun, ids(400, 899));
    expect(flooded).toEqual({ rows: 30, last: "e:899" });
    expect(nextWindow(flooded, ids(400, 899)).rows).toBe(60);
  });
  it("rests when all are drawn", () => {
    const all = nextWindow(EMPTY_WINDOW, ids(1, 5));
    expect(nextWindow(all, ids(1, 5))).toBe(all);
  });
});
