// The figures that nodes publish of themselves: reading them, adding nodes up, levels and spelling.
// Pure; it must not know React or the client.

/** Points of a key that the room keeps, one a second. */
export const POINTS = 60;
/** A node that has been silent for so long (ms, by the newest figure of any node) is not counted. */
const STALE = 10_000;
/** For so many seconds a node's last figure stands for those that are still to come. */
const CARRIED = 3;

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

/**
 * The last minute of some nodes, second by second; a second without any figure is left out. Nodes publish at
 * different instants, and not exactly a second apart: where one has no figure its last one stands for some seconds.
 */
export function series(board: Board, nodes: readonly string[]): Figures[] {
  const seconds = new Map<number, Map<string, Figures>>();
  for (const node of nodes) {
    for (const { time, figures } of board.get(node) ?? []) {
      const second = Math.floor(time / 1000);
      const there = seconds.get(second) ?? new Map<string, Figures>();
      seconds.set(second, there.set(node, figures));
    }
  }
  const latest = new Map<string, { second: number; figures: Figures }>();
  const ordered = [...seconds].sort(([left], [right]) => left - right);
  return ordered.slice(-POINTS).map(([second, there]) => {
    for (const [node, figures] of there) latest.set(node, { second, figures });
    return together([...latest.values()].filter((one) => second - one.second <= CARRIED).map(({ figures }) => figures));
  });
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

export interface Sketch {
  /** A polyline, the newest value at the right edge. */
  readonly line: string;
  /** The same, closed along the lower edge. */
  readonly area: string;
  /** The heights of the thresholds that are in sight. */
  readonly limits: readonly number[];
}

/** The values of a minute in a box, in units of its own: from somewhat below the lowest to above the highest. */
export function sketch({ warning, critical }: Measure, values: readonly (number | null)[], width: number, height: number): Sketch {
  const known = values.filter((value) => value !== null);
  const [low, high] = known.length > 0 ? [Math.min(...known), Math.max(...known)] : [0, 0];
  // Near a threshold it comes in sight, so that one sees how near.
  const top = Math.max(high, warning !== undefined && high > warning / 2 ? warning : 0) * 1.1 || 1;
  const bottom = Math.max(0, low - (top - low));
  const y = (value: number) => (height - ((value - bottom) / (top - bottom)) * height).toFixed(1);
  const step = width / (POINTS - 1);
  const places = values.flatMap((value, at) =>
    value === null ? [] : [{ x: (width - (values.length - 1 - at) * step).toFixed(1), y: y(value) }]);
  const line = places.map((place) => `${place.x},${place.y}`).join(" ");
  const area = places.length > 1 ? `${places[0]?.x},${height} ${line} ${width},${height}` : "";
  return { line, area, limits: [warning, critical].filter((limit) => limit !== undefined && limit > bottom && limit < top).map((limit) => Number(y(limit ?? 0))) };
}
