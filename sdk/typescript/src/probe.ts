// Why a handshake failed: browsers hide it, so the same address is asked by a plain GET. Decides
// nothing; an answer that cannot be read is no answer.
import { isRecord } from "./frames.js";
import type { Environment } from "./types.js";

export interface Problem {
  _status: number;
  _code?: string;
  _detail?: string;
  _retryAfterMs: number;
}

export async function probe(
  { fetch, setTimeout, clearTimeout }: Environment,
  url: string,
  token: string | undefined,
  timeoutMs: number,
): Promise<Problem | undefined> {
  if (!fetch) return;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  const get = (credentials: RequestCredentials) =>
    fetch(url.replace(/^ws/, "http"), {
      credentials,
      cache: "no-store",
      headers: token ? { authorization: "Bearer " + token } : {},
      signal: abort.signal,
    });
  try {
    // A cookie may be the credential; where CORS forbids to send it, the reason is another one.
    const response = await (token ? get("omit") : get("include").catch(() => get("omit")));
    const body: unknown = await response.json().catch(() => undefined);
    const { code, detail } = isRecord(body) ? body : ({} as Record<string, unknown>);
    return {
      _status: response.status,
      _retryAfterMs: (Number(response.headers.get("retry-after")) || 0) * 1e3,
      ...(typeof code == "string" && { _code: code }),
      ...(typeof detail == "string" && { _detail: detail }),
    };
  } catch {
    return;
  } finally {
    clearTimeout(timer);
  }
}
