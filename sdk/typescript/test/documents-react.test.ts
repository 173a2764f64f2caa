// @vitest-environment happy-dom
// The React program of docs/sdk.md, drawn in a document and used as a person would.
import { act, createElement as h, type FunctionComponent } from "react";
import { createRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";
import { FakeServer } from "../src/testing.js";
import { blocks, write } from "./documents.js";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });
const turn = () => act(() => new Promise<void>((resolve) => setTimeout(resolve, 20)));

test("sdk.md: React", { timeout: 30_000 }, async () => {
  const [block] = blocks("sdk.md", "tsx");
  if (!block) throw new Error("there is no such block");
  const server = new FakeServer({ room: () => ({ presence: true }) });
  vi.stubGlobal("WebSocket", server.WebSocket);
  const { default: App } = (await import(/* @vite-ignore */ write(block))) as { default: FunctionComponent };
  const page = document.body.appendChild(document.createElement("div"));
  const shows = async (text: string) => {
    for (let turns = 0; turns < 200 && !page.textContent?.includes(text); turns++) await turn();
    expect(page.textContent).toContain(text);
  };
  const root = createRoot(page);
  act(() => root.render(h(App)));
  await shows("connected, joined, 1 here");
  server.room("demo:lobby").publish({ text: "hi" }, { user: "bob" });
  server.room("demo:lobby").tell({ type: "typing", user: "bob", active: true });
  await shows("bob: hi");
  await shows("bob writing");
  act(() => void page.querySelector("form")?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true })));
  await shows("alice: ");
  act(() => root.unmount());
  vi.unstubAllGlobals();
});
