// Everybody's pointer over the conversation, by signals: not kept, and dropped first under pressure.
// Places are fractions of the stage, so that screens of different sizes agree.
import { useEffect, useState } from "react";
import type { CSSProperties, RefObject } from "react";
import { useClient } from "@roomcast/client/react";
import { chatRoom } from "../hooks/rooms";
import { tint } from "../names";

/** The pointer is told at most every 50 ms, and forgotten 4 s after its last word. */
const PAUSE = 50;
const FORGOTTEN = 4_000;
/** Time (ms) between two drawings. */
const DRAWN = 32;
/** Pointers that are shown. */
const SHOWN = 20;

interface Cursor { readonly id: string; readonly name: string; readonly x: number; readonly y: number; readonly time: number }

export function Cursors({ room: name, user, stage }: { room: string; user: string; stage: RefObject<HTMLDivElement | null> }) {
  const client = useClient();
  const [cursors, setCursors] = useState<readonly Cursor[]>([]);

  useEffect(() => {
    const room = chatRoom(client, name);
    // In a busy room many pointers move between two drawings: they are drawn together.
    const moved = new Map<string, Cursor | undefined>();
    let drawing: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      drawing = undefined;
      const news = new Map(moved);
      moved.clear();
      setCursors((known) => [...known.filter(({ id }) => !news.has(id)), ...news.values()].filter((one) => one !== undefined).slice(-SHOWN));
    };
    const end = room.on("signal", ({ event, user: from, connection, data }) => {
      if (event !== "cursor") return;
      const id = connection ?? from ?? "";
      const place = readPlace(data);
      moved.set(id, place && { id, name: from ?? "somebody", ...place, time: Date.now() });
      drawing ??= setTimeout(draw, DRAWN);
    });
    const timer = setInterval(() => setCursors((known) => {
      const kept = known.filter(({ time }) => Date.now() - time < FORGOTTEN);
      return kept.length === known.length ? known : kept;
    }), 1_000);
    return () => {
      end();
      clearInterval(timer);
      clearTimeout(drawing);
      setCursors([]);
    };
  }, [client, name]);

  useEffect(() => {
    const box = stage.current;
    if (!box) return;
    const room = chatRoom(client, name);
    let timer: ReturnType<typeof setTimeout> | undefined;
    let place: { x: number; y: number } | null = null;
    const tell = () => {
      timer = undefined;
      room.signal("cursor", place);
    };
    const move = ({ clientX, clientY }: PointerEvent) => {
      const { left, top, width, height } = box.getBoundingClientRect();
      place = { x: part(clientX - left, width), y: part(clientY - top, height) };
      timer ??= setTimeout(tell, PAUSE);
    };
    const leave = () => {
      place = null;
      timer ??= setTimeout(tell, PAUSE);
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerleave", leave);
    return () => {
      box.removeEventListener("pointermove", move);
      box.removeEventListener("pointerleave", leave);
      clearTimeout(timer);
    };
  }, [client, name, stage]);

  return (
    <div className="cursors" aria-hidden="true">
      {cursors.map(({ id, name: of, x, y }) => (
        <span key={id} className={`cursor tint-${tint(of)}`} data-edge={edgeOf(x, y)} style={{ "--x": x, "--y": y } as CSSProperties}>
          <svg viewBox="0 0 16 16"><path d="M.7.7 14.500 6.300 8.300 8.300 6 14.500z" /></svg>
          <span>{of === user ? `${of} (you)` : of}</span>
        </span>
      ))}
    </div>
  );
}

/** Near the right or lower edge the name stands on the other side of the pointer. */
const edgeOf = (x: number, y: number): string => `${x > 0.6 ? "right" : ""} ${y > 0.9 ? "bottom" : ""}`.trim();

const part = (at: number, size: number): number => Math.round((at / (size || 1)) * 10_000) / 10_000;

function readPlace(data: unknown): { x: number; y: number } | undefined {
  if (typeof data !== "object" || data === null || !("x" in data) || !("y" in data)) return undefined;
  const { x, y } = data;
  const isPart = (value: unknown): value is number => typeof value === "number" && value >= 0 && value <= 1;
  return isPart(x) && isPart(y) ? { x, y } : undefined;
}
