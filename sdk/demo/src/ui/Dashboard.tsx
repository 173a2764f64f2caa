// The nodes' own figures, live: the newest values, their level, and the last minute as a line.
import { useEffect, useState } from "react";
import type { StateEntry } from "@roomcast/client";
import { useRoomState } from "@roomcast/client/react";
import { MEASURES, extend, level, liveNodes, readFigures, series, sketch, spell } from "../figures";
import type { Board, Figures, Measure } from "../figures";
import { BOARD_ROOM } from "../settings";

/** The box of a line, in units of its own: it is stretched to the tile. */
const WIDTH = 120;
const HEIGHT = 36;

export function Dashboard() {
  const board = useBoard();
  const [chosen, setChosen] = useState("");
  const nodes = liveNodes(board);
  const shown = nodes.includes(chosen) ? [chosen] : nodes;
  const minute = series(board, shown);
  return (
    <section className="card dashboard" aria-labelledby="dashboard-title">
      <div className="card-head">
        <h2 id="dashboard-title">Live figures</h2>
        {nodes.length > 1
          ? (
            <select aria-label="Node" value={nodes.includes(chosen) ? chosen : ""} onChange={(event) => setChosen(event.target.value)}>
              <option value="">All {nodes.length} nodes</option>
              {nodes.map((node) => <option key={node}>{node}</option>)}
            </select>
          )
          : <span className="quiet">{nodes[0] ?? "waiting for figures"}</span>}
      </div>
      <dl>{MEASURES.map((measure) => <Tile key={measure.key} measure={measure} values={minute.map((figures) => figures[measure.key])} />)}</dl>
    </section>
  );
}

function Tile({ measure, values }: { measure: Measure; values: readonly Figures[keyof Figures][] }) {
  const value = values.at(-1) ?? null;
  const state = level(measure, value);
  const highest = Math.max(...values.map((one) => one ?? 0), 0);
  // The line's own scale, with the first threshold in sight once the values come near it.
  const top = Math.max(highest * 1.15, highest > (measure.warning ?? Infinity) / 2 ? (measure.warning ?? 0) * 1.15 : 0);
  const { points, y } = sketch(values, top, WIDTH, HEIGHT);
  const limits = [measure.warning, measure.critical].filter((limit) => limit !== undefined && limit <= top);
  return (
    <div className="tile" data-level={state}>
      <dt>{measure.label}{state !== "normal" && <span className="level">{state}</span>}</dt>
      <dd><span className="value">{spell(measure, value)}</span>{measure.unit !== "" && <span className="unit">{measure.unit}</span>}</dd>
      <dd className="minute" aria-hidden="true">
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" focusable="false">
          {limits.map((limit) => limit !== undefined && <line key={limit} x1="0" x2={WIDTH} y1={y(limit)} y2={y(limit)} />)}
          <polyline points={points} />
        </svg>
      </dd>
    </div>
  );
}

/** Each node's last minute: what the room kept, then what comes. */
function useBoard(): Board {
  const state = useRoomState(BOARD_ROOM);
  const [board, setBoard] = useState<Board>(new Map());
  useEffect(() => setBoard((known) => merge(known, state)), [state]);
  return board;
}

function merge(known: Board, state: ReadonlyMap<string, StateEntry>): Board {
  return new Map([...state].map(([node, { time, data, points }]) => {
    const kept = (points?.length ? points : [{ time, data }]).map((point) => ({ time: point.time, figures: readFigures(point.data) }));
    return [node, extend(known.get(node) ?? [], kept)] as const;
  }));
}
