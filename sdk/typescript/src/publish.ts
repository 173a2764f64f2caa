// The frame of a publish. Knows no connection.
import { failure } from "./errors.js";
import type { ClientFrame, Position } from "./frames.js";
import type { PublishOptions } from "./types.js";

/** Throws `no_position` where a number as a condition has no epoch to count in. */
export function publishFrame(
  room: string,
  at: Position | undefined,
  data: unknown,
  key: string,
  { ifSeq, ifKeySeq, stateKey, ttlMs, signal: _, ...same }: PublishOptions,
): ClientFrame {
  const condition = ifSeq ?? ifKeySeq;
  const { epoch = at?.epoch } = Object(condition) as Partial<Position>;
  if (condition !== undefined && !epoch) throw failure("no_position");
  return {
    ...same,
    type: "publish",
    room,
    key,
    if_seq: seqOf(ifSeq),
    if_key_seq: seqOf(ifKeySeq),
    epoch: condition === undefined ? undefined : epoch,
    state_key: stateKey,
    ttl_ms: ttlMs,
    data: data ?? null,
  };
}

function seqOf(condition: Position | number | undefined): number | undefined {
  return (Object(condition) as Partial<Position>).seq ?? (condition as number | undefined);
}
