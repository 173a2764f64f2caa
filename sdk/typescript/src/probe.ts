// Why a handshake failed: browsers hide it, so the same address is asked by a plain GET. Decides
// nothing; an answer that cannot be read is no answer.

import { cancel, later } from "./clock.js";

/** A status, its code and detail, and the pause that it asks for in milliseconds. */
export type Problem = readonly [number, string, string, number];

/** Gives nothing once `abort` has. */
export async function probe(url: string, token: string | undefined, timeoutMs: number, abort: AbortController): Promise<Problem | undefined> {
  const timer = later(() => abort.abort(), timeoutMs);
  const get = (credentials: RequestCredentials) =>
    fetch(url.replace(/^ws/, "http"), {
      credentials,
      headers: token ? { authorization: "Bearer " + token } : {},
      signal: abort.signal,
    });
  try {
    // A cookie may be the credential; where CORS forbids to send it, the reason is another one.
    const response = await (token ? get("omit") : get("include").catch(() => get("omit")));
    const { code = "", detail = code } = Object(await response.json().catch(() => 0)) as Record<string, unknown>;
    const retryAfterMs = Math.max(Number(response.headers.get("retry-after")) * 1e3 || 0, 0);
    return [response.status, String(code), detail as string, retryAfterMs];
  } catch {
    return;
  } finally {
    cancel(timer);
  }
}
