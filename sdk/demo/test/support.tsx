// The page on the SDK's fake server, for tests: what is on it, and what somebody does there.
import { act } from "react";
import { createRoot } from "react-dom/client";
import type { Root } from "react-dom/client";
import { vi } from "vitest";
import { FakeServer } from "../../typescript/src/testing";
import { Sessions } from "../src/session";
import { readSettings } from "../src/settings";
import { App } from "../src/ui/App";

export let server: FakeServer;
export let root: Root;
export let page: HTMLElement;
export const storage = new Map<string, string>();

/** A node, and ann's page on it. */
export async function begin(): Promise<void> {
  vi.useFakeTimers();
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  server = new FakeServer({ room: (name) => (name.startsWith("board:") ? { state: true } : { presence: true, receipts: true }) });
  vi.stubGlobal("WebSocket", server.WebSocket);
  vi.stubGlobal("fetch", server.fetch);
  storage.clear();
  await open("http://127.0.0.1:8080/?user=ann");
}
export async function end(): Promise<void> {
  act(() => root.unmount());
  await wait(1_000);
  vi.useRealTimers();
  vi.unstubAllGlobals();
}

export const wait = (ms = 100) => act(() => vi.advanceTimersByTimeAsync(ms));

export async function open(address: string): Promise<void> {
  page = document.createElement("div");
  document.body.replaceChildren(page);
  const settings = readSettings(new URL(address), "demo.secret");
  const kept = { getItem: (key: string) => storage.get(key) ?? null, setItem: (key: string, value: string) => void storage.set(key, value) };
  const sessions = new Sessions(settings, kept);
  root = createRoot(page);
  act(() => root.render(<App settings={settings} sessions={sessions} />));
  await wait(200);
}
export const all = (id: string) => [...page.querySelectorAll<HTMLElement>(`[data-testid=${id}]`)];
export function one(id: string): HTMLElement {
  const found = all(id);
  if (found.length !== 1 || !found[0]) throw new Error(`${found.length} elements ${id}`);
  return found[0];
}
export const text = (id: string) => one(id).textContent;
export const seqs = () => all("message").map(({ dataset }) => Number(dataset["seq"]));

export function type(id: string, value: string): HTMLInputElement {
  const field = one(id) as HTMLInputElement;
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set;
  act(() => {
    field.focus();
    set?.call(field, value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return field;
}

export async function write(id: string, value: string): Promise<void> {
  const field = type(id, value);
  act(() => {
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    if (field.form) field.form.requestSubmit();
  });
  await wait();
}

export function press(label: string): void {
  const button = [...page.querySelectorAll("button")].find(({ textContent }) => textContent === label);
  if (!button) throw new Error(`no button ${label}`);
  act(() => button.click());
}
