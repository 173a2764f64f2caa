// What the tests of the React hooks share: drawing under a provider with fake time, and noting views.
import { act, createElement as h, useEffect } from "react";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import type { Root } from "react-dom/client";
import { afterEach } from "vitest";
import type { Client, Message } from "../src/index.js";
import { RoomcastProvider, useRoom } from "../src/react.js";
import type { RoomView, RoomViewOptions } from "../src/react.js";
import { pass } from "./support.js";

const roots: Root[] = [];
Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

/** To be called after `useFakeTime`: what is called last ends first, before the clients are closed. */
export function useReact(): void {
  afterEach(() => act(() => roots.splice(0).forEach((root) => root.unmount())));
}

export const wait = (ms = 50) => act(() => pass(ms));

export async function mount(client: Client, children: ReactNode): Promise<Root> {
  const root = createRoot(document.createElement("div"));
  roots.push(root);
  await render(root, client, children);
  return root;
}

export async function render(root: Root, client: Client, children: ReactNode): Promise<void> {
  act(() => root.render(h(RoomcastProvider, { client }, children)));
  await wait();
}

/** A component that notes each view that it draws. */
export function viewer(name: string, options?: RoomViewOptions) {
  const views: RoomView[] = [];
  const Viewer = () => {
    const view = useRoom(name, options);
    useEffect(() => void views.push(view));
    return null;
  };
  return { views, Viewer, last: () => views.at(-1) };
}

export const datas = (messages: readonly Message[] = []) => messages.map(({ data }) => data);
