// The nodes' own figures, live: the newest values, their level, and the last minute as a line.
import { useEffect, useState } from "react";
import type { StateEntry } from "@roomcast/client";
import { useClient, useRoomState } from "@roomcast/client/react";
import { MEASURES, extend, level, liveNodes, readFigures, series, sketch, spell } from "../figures";
import type { Board, Figures, Measure } from "../figures";
import { BOARD_ROOM } from "../settings";

/** The box of a line, in units of its own: it is stretched to the tile. */
const WIDTH = 120;
const HEIGHT = 36;

export function Dashboard({ isOnline }: { isOnline: boolean }) {
  const board = useBoard();
  const [chosen, setChosen] = useState("");
  const nodes = liveNodes(board);
  const shown = nodes.includes(chosen) ? [chosen] : nodes;
  const minute = series(board, shown);
  return (
    <section className="card dashboard" aria-labelledby="dashboard-title">
      <div className="card-head">
        <h2 id="dashboard-title">Live figures</h2>
        {nodes.length > 1 && isOnline
          ? (
            <select aria-label="Node" value={nodes.includes(chosen) ? chosen : ""} onChange={(event) => setChosen(event.target.value)}>
              <option value="">All {nodes.length} nodes</option>
              {nodes.map((node) => <option key={node}>{node}</option>)}
            </select>
          )
          : <span className="quiet">{isOnline ? nodes[0] ?? "waiting for figures" : "stopped while offline"}</span>}
      </div>
      <dl>{MEASURES.map((measure) => <Tile key={measure.key} measure={measure} values={minute.map((figures) => figures[measure.key])} />)}</dl>
      <p className="scale" aria-hidden="true"><span>1 min ago</span><span>now</span></p>
    </section>
  );
}

function Tile({ measure, values }: { measure: Measure; values: readonly Figures[keyof Figures][] }) {
  const value = values.at(-1) ?? null;
  const state = level(measure, value);
  const { line, area, limits } = sketch(measure, values, WIDTH, HEIGHT);
  return (
    <div className="tile" data-level={state}>
      <dt>{measure.label}{state !== "normal" && <span className="level"> {state}</span>}</dt>
      <dd><span className="value">{spell(measure, value)}</span>{measure.unit !== "" && <span className="unit"> {measure.unit}</span>}</dd>
      <dd className="minute" aria-hidden="true">
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" focusable="false">
          <polygon points={area} />
          {limits.map((limit) => <line key={limit} x1="0" x2={WIDTH} y1={limit} y2={limit} />)}
          <polyline points={line} />
        </svg>
      </dd>
    </div>
  );
}

/**
 * Each node's last minute: what the room kept, then what comes. By events, since the map of values may
 * have changed twice before it is drawn, and only the entries of a snapshot have points.
 */
function useBoard(): Board {
  const client = useClient();
  useRoomState(BOARD_ROOM);
  const [board, setBoard] = useState<Board>(new Map());
  useEffect(() => {
    const room = client.room(BOARD_ROOM);
    setBoard((known) => [...room.state].reduce((all, [node, entry]) => withEntry(all, node, entry), known));
    return room.on("state", ({ key, entry }) => setBoard((known) => withEntry(known, key, entry)));
  }, [client]);
  return board;
}

/** Without an entry the node is gone. */
function withEntry(known: Board, node: string, entry?: StateEntry): Board {
  const board = new Map(known);
  if (!entry) {
    board.delete(node);
    return board;
  }
  const { time, data, points } = entry;
  const news = points?.length ? points : [{ time, data }];
  return board.set(node, extend(known.get(node) ?? [], news.map((point) => ({ time: point.time, figures: readFigures(point.data) }))));
}
