// What the page learns from its own HTML and address: the demo key, the node's WebSocket, the first room
// and name, a token. Pure; it must not know the client.
import { toName, toRoomName } from "./names";

export const FIRST_ROOM = "demo:lobby";
export const BOARD_ROOM = "board:nodes";
export const SUGGESTED_ROOMS = [FIRST_ROOM, "demo:coffee", "demo:ideas", "demo:music"] as const;

/** The node puts its key in this marker's place; the page without a node keeps it. */
const MARKER = /^__.*__$/u;

export interface Settings {
  readonly socket: string;
  readonly origin: string;
  /** NAME.SECRET; empty if the node has none to show. */
  readonly key: string;
  readonly room: string;
  /** From `?user=`; empty if the address names nobody. */
  readonly user: string;
  /** From `#token=`: browsers do not send that part of an address to a server. */
  readonly token: string;
}

export function readSettings(place: URL, demoKey: string | null | undefined): Settings {
  const socket = new URL("ws", place);
  socket.protocol = place.protocol === "https:" ? "wss:" : "ws:";
  socket.search = "";
  socket.hash = "";
  const token = new URLSearchParams(place.hash.slice(1)).get("token") ?? "";
  const key = demoKey ?? "";
  return {
    socket: socket.href,
    origin: place.origin,
    key: MARKER.test(key) ? "" : key,
    room: toRoomName(place.searchParams.get("room") ?? "") || FIRST_ROOM,
    user: userOf(token) || toName(place.searchParams.get("user") ?? ""),
    token,
  };
}

/** Whom a token names. Only to show it: the node judges tokens. */
function userOf(token: string): string {
  try {
    const claims: unknown = JSON.parse(atob((token.split(".")[1] ?? "").replace(/-/gu, "+").replace(/_/gu, "/")));
    if (typeof claims === "object" && claims !== null && "sub" in claims) return String(claims.sub);
  } catch { /* Not a token: the node will say so. */ }
  return "";
}

/** For a shell: in single quotes, whatever it holds. */
const quoted = (text: string): string => `'${text.replace(/'/gu, String.raw`'\''`)}'`;

/** The line that a backend would run to notify a user. */
export function notifyCommand({ origin, key }: Pick<Settings, "origin" | "key">, user: string): string {
  const url = `${origin}/v1/users/${encodeURIComponent(user)}/messages`;
  const header = key === "" ? `"Authorization: Bearer $KEY"` : quoted(`Authorization: Bearer ${key}`);
  const body = JSON.stringify({ data: { text: "Your order has shipped" } });
  return `curl ${quoted(url)} -H ${header} -H 'Content-Type: application/json' -d ${quoted(body)}`;
}
