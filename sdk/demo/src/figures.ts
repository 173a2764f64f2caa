// The figures that nodes publish of themselves: reading them, adding nodes up, levels and spelling.
// Pure; it must not know React or the client.

/** Points of a key that the room keeps, one a second. */
export const POINTS = 60;
/** A node that has been silent for so long (ms, by the newest figure of any node) is not counted. */
const STALE = 10_000;

export const MEASURES = [
  { key: "users", label: "Active users", unit: "", digits: 0 },
  { key: "requests", label: "Requests", unit: "/s", digits: 1 },
  { key: "response_ms", label: "Response time", unit: "ms", digits: 1, warning: 200, critical: 500 },
  { key: "errors", label: "Error rate", unit: "%", digits: 1, warning: 1, critical: 5 },
  { key: "cpu", label: "CPU", unit: "%", digits: 1, warning: 70, critical: 90 },
  { key: "memory", label: "Memory", unit: "%", digits: 1, warning: 75, critical: 90 },
] as const satisfies readonly Measure[];

export interface Measure {
  readonly key: string;
  readonly label: string;
  readonly unit: string;
  readonly digits: number;
  readonly warning?: number;
  readonly critical?: number;
}

export type MeasureKey = (typeof MEASURES)[number]["key"];
/** Null where the node does not know. */
export type Figures = Readonly<Record<MeasureKey, number | null>>;
export interface Point { readonly time: number; readonly figures: Figures }
/** Each node's points, the oldest first. */
export type Board = ReadonlyMap<string, readonly Point[]>;
export type Level = "normal" | "warning" | "critical";

export function readFigures(data: unknown): Figures {
  const values: Record<string, unknown> = typeof data === "object" && data !== null ? { ...data } : {};
  const read = (key: MeasureKey) => {
    const value = values[key];
    return typeof value === "number" && Number.isFinite(value) ? value : null;
  };
  return { users: read("users"), requests: read("requests"), response_ms: read("response_ms"), errors: read("errors"),
    cpu: read("cpu"), memory: read("memory") };
}

/** A node's points with newer ones; what is not newer than the last is known already. */
export function extend(points: readonly Point[], news: readonly Point[]): readonly Point[] {
  const last = points.at(-1)?.time ?? -Infinity;
  const fresh = news.filter(({ time }) => time > last);
  return fresh.length === 0 ? points : [...points, ...fresh].slice(-POINTS);
}

/** The nodes that published lately. */
export function liveNodes(board: Board): string[] {
  const times = [...board].map(([node, points]) => ({ node, time: points.at(-1)?.time ?? 0 }));
  const newest = Math.max(...times.map(({ time }) => time));
  return times.filter(({ time }) => newest - time < STALE).map(({ node }) => node).sort();
}

const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);

/** Several nodes as one: users and requests add up, times and errors are weighted by requests, the rest is the mean. */
export function together(all: readonly Figures[]): Figures {
  const known = (key: MeasureKey) => all.map((one) => one[key]).filter((value) => value !== null);
  const total = (key: MeasureKey) => (known(key).length > 0 ? sum(known(key)) : null);
  const mean = (key: MeasureKey) => (known(key).length > 0 ? sum(known(key)) / known(key).length : null);
  const weighted = (key: MeasureKey) => {
    const pairs = all.flatMap((one) => (one[key] === null ? [] : [[one[key], one.requests ?? 0] as const]));
    const weight = sum(pairs.map(([, requests]) => requests));
    return weight > 0 ? sum(pairs.map(([value, requests]) => value * requests)) / weight : mean(key);
  };
  return { users: total("users"), requests: total("requests"), response_ms: weighted("response_ms"),
    errors: weighted("errors"), cpu: mean("cpu"), memory: mean("memory") };
}

/** The last minute of some nodes, second by second; a second without any figure is left out. */
export function series(board: Board, nodes: readonly string[]): Figures[] {
  const seconds = new Map<number, Map<string, Figures>>();
  for (const node of nodes) {
    for (const { time, figures } of board.get(node) ?? []) {
      const second = Math.floor(time / 1000);
      const there = seconds.get(second) ?? new Map<string, Figures>();
      seconds.set(second, there.set(node, figures));
    }
  }
  const ordered = [...seconds].sort(([left], [right]) => left - right);
  // Nodes do not publish at the same instant: the newest second may lack some and would show a dip.
  const last = ordered.at(-1);
  if (last && last[1].size < nodes.length && ordered.length > 1) ordered.pop();
  return ordered.slice(-POINTS).map(([, figures]) => together([...figures.values()]));
}

export function level({ warning, critical }: Measure, value: number | null): Level {
  if (value === null || warning === undefined || critical === undefined || value < warning) return "normal";
  return value < critical ? "warning" : "critical";
}

/** `1,234.5`, the same in every browser; an en dash for what is not known. */
export function spell({ digits }: Measure, value: number | null): string {
  if (value === null) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A line of points for SVG in a box, the newest at the right edge, and where a value lies in it. */
export function sketch(values: readonly (number | null)[], top: number, width: number, height: number) {
  const y = (value: number) => height - 1 - (Math.min(value, top) / (top || 1)) * (height - 2);
  const step = width / (POINTS - 1);
  const points = values.flatMap((value, at) =>
    value === null ? [] : [`${(width - (values.length - 1 - at) * step).toFixed(1)},${y(value).toFixed(1)}`]);
  return { points: points.join(" "), y };
}
