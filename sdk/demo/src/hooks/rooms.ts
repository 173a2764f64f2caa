// The rooms of the page, each with the same options wherever it is used, and what hooks lack: counts,
// read marks, notices. It must not know the layout.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Client, Message, Room } from "@roomcast/client";
import { useClient, useRoom } from "@roomcast/client/react";
import { BOARD_ROOM } from "../settings";
import { gapText, resetText } from "../timeline";
import type { Notice } from "../timeline";

/** Messages that a room begins with. */
const HISTORY = 50;
/** How often (ms) is looked whether all rooms have answered. */
const ANSWERS_LOOK = 100;
/** Notices of a room that are kept. */
const NOTICES = 20;
/** The node writes a user's position at most once a second. */
const READ_PAUSE = 1_000;

const CHAT = { history: HISTORY, presence: true } as const;
const ME = { history: 30 } as const;

export const chatRoom = (client: Client, name: string): Room => client.room(name, CHAT);
export const myRoom = (client: Client): Room => client.room("@me", ME);
export const useChat = (name: string) => useRoom(name, { ...CHAT, keep: 500 });
/** All that the page joins while this chat is open. */
const roomsOfPage = (client: Client, name: string): Room[] => [chatRoom(client, name), myRoom(client), client.room(BOARD_ROOM)];
export const useNotifications = () => useRoom("@me", { ...ME, keep: 100 });

/** Unread messages of `@me`, and up to where they are read. */
export function useReadMarks(): { unread: number; read: number } {
  const client = useClient();
  const subscribe = useCallback((f: () => void) => myRoom(client).on("read", f), [client]);
  const unread = useSyncExternalStore(subscribe, () => myRoom(client).unread);
  const read = useSyncExternalStore(subscribe, () => myRoom(client).read);
  return { unread, read };
}

/** What is missing from a room, since the page shows it. */
export function useNotices(name: string): readonly Notice[] {
  const client = useClient();
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  useEffect(() => {
    const room = chatRoom(client, name);
    const add = (epoch: string, seq: number, text: string) =>
      setNotices((known) => [...known, { id: `${epoch}:${seq}:${text}`, epoch, seq, text }].slice(-NOTICES));
    const ends = [
      room.on("gap", (gap) => {
        if (!gap.conflated) add(room.position?.epoch ?? "", gap.to, gapText(gap));
      }),
      // Before all that is shown of the new numbering, also what it held already.
      room.on("reset", (reset) => add(reset.epoch, 0, resetText(reset))),
    ];
    return () => {
      ends.forEach((end) => end());
      setNotices([]);
    };
  }, [client, name]);
  return notices;
}

/** Tells what began again, in all rooms of the page; of a state room nothing is lost, its values come anew. */
export function useResets(name: string, tell: (room: string, lost: number) => void): void {
  const client = useClient();
  useEffect(() => {
    const ends = roomsOfPage(client, name).map((room) => room.on("reset", ({ lost, state }) => tell(room.name, state ? 0 : lost)));
    return () => ends.forEach((end) => end());
  }, [client, name, tell]);
}

/** Tells when all rooms of the page have answered after a reconnect, whatever they left out: at the second look
    that finds it so, as what a room misses is told just after its answer. */
export function useAnswers(name: string, isResuming: boolean, tell: () => void): void {
  const client = useClient();
  useEffect(() => {
    if (!isResuming) return;
    const rooms = roomsOfPage(client, name);
    let looks = 0;
    const timer = setInterval(() => {
      looks = rooms.every(({ status }) => status === "joined" || status === "left") ? looks + 1 : 0;
      if (looks > 1) tell();
    }, ANSWERS_LOOK);
    return () => clearInterval(timer);
  }, [client, name, isResuming, tell]);
}

/** Confirms the newest message as read while the page is looked at. */
export function useReading(name: string, last: Message | undefined, isRead: boolean): void {
  const client = useClient();
  const isVisible = useVisible();
  const [refused, setRefused] = useState("");
  useEffect(() => {
    if (!last || !isRead || !isVisible || refused === name) return;
    const room = chatRoom(client, name);
    const timer = setTimeout(() => {
      // Where the namespace keeps no receipts it is not asked again; what failed otherwise is said again later.
      room.received(last, true).catch((error: { code?: string }) => {
        if (error.code === "unsupported" || error.code === "forbidden") setRefused(name);
      });
    }, READ_PAUSE / 2);
    return () => clearTimeout(timer);
  }, [client, name, last, isRead, isVisible, refused]);
}

/** Others see who looks at another page. */
export function useAway(name: string, isMember: boolean): void {
  const client = useClient();
  const isVisible = useVisible();
  useEffect(() => {
    if (isMember) chatRoom(client, name).presence({ status: isVisible ? "active" : "away" }).catch(() => {});
  }, [client, name, isMember, isVisible]);
}

const onVisibility = (f: () => void) => {
  document.addEventListener("visibilitychange", f);
  return () => document.removeEventListener("visibilitychange", f);
};
export const useVisible = (): boolean => useSyncExternalStore(onVisibility, () => document.visibilityState === "visible");
