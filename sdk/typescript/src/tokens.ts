// The connection's token: asked for when one is needed and early enough to go on without a break,
// one asking at a time. Its life runs from its receipt. Knows no socket and no frame.
import { RoomcastError } from "./errors.js";
import { pause } from "./backoff.js";
import type { ClientOptions, Environment } from "./types.js";

const ASKING_INTERVAL_MS = 1e3;

export class Tokens {
  /** Whether the application gives tokens at all. An option that is there and empty counts. */
  readonly _isGiven: boolean;
  /** Whether another token can be had. */
  readonly _isCallback: boolean;
  /** @internal */
  readonly _source: ClientOptions["token"];
  /** @internal */
  _value: string | undefined;
  // When the value is to be asked for again.
  /** @internal */
  _due = Infinity;
  /** @internal */
  _asked = -Infinity;
  /** @internal */
  _asking: Promise<string> | undefined;
  /** @internal */
  _timer: unknown;
  /** @internal */
  _failures = 0;

  /**
   * `refresh` gives the node a new token and says how long that lives; it rejects if the node does
   * not take it. `fail` ends the client.
   */
  constructor(
    options: ClientOptions,
    /** @internal */ readonly _environment: Environment,
    /** @internal */ readonly _refresh: (token: string) => Promise<number | undefined>,
    /** @internal */ readonly _fail: (error: RoomcastError) => void,
  ) {
    this._isGiven = "token" in options;
    this._source = options.token;
    this._isCallback = typeof options.token == "function";
    if (typeof options.token == "string") this._value = options.token;
  }

  /** The token for a handshake; rejects with `no_token` where the application gives none. */
  async _get(): Promise<string | undefined> {
    if (!this._isGiven) return;
    if (this._isCallback && (!this._value || this._environment.now() >= this._due)) {
      this._value = await this._ask();
      this._due = Infinity;
    }
    return present(this._value);
  }

  /** The value is good no more; what a string says cannot be changed. */
  _spent(): void {
    this._due = -Infinity;
  }

  /** The node has taken the value, which ends after so long. */
  _lives(ms: number | undefined): void {
    const { now, random, clearTimeout } = this._environment;
    clearTimeout(this._timer);
    this._failures = 0;
    if (!this._isCallback || ms === undefined) return;
    const lead = ms * (0.75 + 0.15 * random());
    this._due = now() + lead;
    this._later(lead, now() + ms);
  }

  /** There is no connection: nothing is to be renewed. */
  _pause(): void {
    this._environment.clearTimeout(this._timer);
    this._timer = undefined;
  }

  /** @internal */
  _later(ms: number, end: number): void {
    const timer = (this._timer = this._environment.setTimeout(async () => {
      const { now, random } = this._environment;
      const isOver = () => this._timer !== timer;
      try {
        const value = await this._ask();
        if (isOver()) return;
        if (value == this._value) {
          const left = end - now();
          if (left > 0) this._later(left * (0.75 + 0.15 * random()), end);
          return;
        }
        // The one that was sent last counts as the one before, taken or not.
        this._value = value;
        const life = await this._refresh(value);
        if (!isOver()) this._lives(life);
      } catch (error) {
        if (isOver()) return;
        if (error instanceof RoomcastError && error.code == "no_token") this._fail(error);
        else this._later(pause(++this._failures, random), end);
      }
    }, ms));
  }

  /** @internal */
  _ask(): Promise<string> {
    return (this._asking ??= this._askNow().finally(() => (this._asking = undefined)));
  }

  /** @internal */
  async _askNow(): Promise<string> {
    const { now, setTimeout } = this._environment;
    const wait = this._asked + ASKING_INTERVAL_MS - now();
    if (wait > 0) await new Promise<void>((resolve) => setTimeout(resolve, wait));
    this._asked = now();
    return present(await askFor(this._source));
  }
}

/** What an option gives now: it may be a string, or a function that gives one. */
export async function askFor(source: ClientOptions["token"]): Promise<string | undefined> {
  return typeof source == "function" ? source() : source;
}

// A client that was to have a token never goes without: it would be somebody else.
export function present(token: unknown): string {
  if (typeof token != "string" || !token) throw new RoomcastError("no_token", "there is no token");
  return token;
}
