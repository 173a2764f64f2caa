// The connection's token: asked for when one is needed and early enough to go on without a break,
// one asking at a time. Its life runs from its receipt. Knows no socket and no frame.
import { cancel, later, now, sleep, type Timer } from "./clock.js";
import { pause } from "./backoff.js";
import { failure, type RoomcastError } from "./errors.js";
import type { ClientOptions } from "./types.js";

const enum Limit {
  AskingMs = 1e3,
}

export type Tokens = ReturnType<typeof keepTokens>;

/**
 * `refresh` gives the node a new token and says how long that lives; it rejects if the node does not
 * take it. `fail` ends the client.
 */
export function keepTokens(
  options: ClientOptions,
  refresh: (token: string) => Promise<number | undefined>,
  fail: (error: RoomcastError) => void,
) {
  const source = options.token;
  const isCallback = typeof source == "function";
  let value = isCallback ? undefined : source;
  // When the value is to be asked for again; of a string when it ends.
  let due = Infinity;
  let asked = -Infinity;
  let asking: Promise<string> | undefined;
  let timer: Timer | undefined;
  let failures = 0;

  const askNow = async () => {
    const wait = asked + Limit.AskingMs - now();
    if (wait > 0) await sleep(wait);
    asked = now();
    return askFor(source);
  };
  const ask = () => (asking ??= askNow().finally(() => (asking = undefined)));
  const part = (ms: number) => ms * (0.75 + 0.15 * Math.random());

  const renewLater = (ms: number, end: number) => {
    const mine = (timer = later(async () => {
      try {
        const next = await ask();
        if (timer != mine) return;
        if (next == value) {
          const left = end - now();
          if (left > 0) renewLater(part(left), end);
          return;
        }
        // The one that was sent last counts as the one before, taken or not.
        value = next;
        const life = await refresh(next);
        if (timer == mine) lives(life);
      } catch (error) {
        if (timer != mine) return;
        if (isNoToken(error)) fail(error);
        else renewLater(pause(++failures), end);
      }
    }, ms));
  };

  /** The node has taken the value, which ends after so long. */
  const lives = (ms: number | undefined) => {
    rest();
    failures = 0;
    due = Infinity;
    if (ms === undefined) return;
    const lead = isCallback ? part(ms) : ms;
    due = now() + lead;
    if (isCallback) renewLater(lead, now() + ms);
  };

  /** There is no connection: nothing is to be renewed. */
  const rest = () => {
    timer = cancel(timer);
  };

  return {
    /** Whether another token can be had. */
    _isCallback: isCallback,
    /** The token for a handshake; rejects with `no_token` where the application gives none. */
    async _ask(): Promise<string | undefined> {
      // An option that is there and empty counts: a client that was to have a token never goes without.
      if (!("token" in options)) return;
      if (isCallback && (!value || now() >= due)) {
        value = await ask();
        due = Infinity;
      }
      return askFor(value);
    },
    /** The node says that the value has ended. Whether that is the end: a string cannot be asked for again. */
    _spent() {
      // The node's clock began a little before the receipt.
      if (!isCallback) return now() > due - Limit.AskingMs;
      due = -Infinity;
      return;
    },
    _lives: lives,
    _lost: rest,
  };
}

/** What an option gives now; rejects with `no_token` if that is nothing. */
export async function askFor(source: ClientOptions["token"]): Promise<string> {
  const token = typeof source == "function" ? await source() : source;
  if (!token) throw failure("no_token");
  return token;
}

export function isNoToken(error: unknown): error is RoomcastError {
  return (error as RoomcastError | undefined)?.code == "no_token";
}
