// Where one writes: text, pictures by button, paste or drop, and what waits to be sent.
import { useRef, useState, useSyncExternalStore } from "react";
import type { ChangeEvent, ClipboardEvent, DragEvent, FormEvent } from "react";
import { useClient } from "@roomcast/client/react";
import type { Picture } from "../content";
import { dataUrl } from "../content";
import { chatRoom } from "../hooks/rooms";
import type { Indicator } from "../indicator";
import type { Outbox } from "../outbox";
import { shrink } from "../picture";
import { CloseIcon, ImageIcon, SendIcon } from "./icons";

/** The node ends typing after 3 s without another word (ms). */
const TYPING_PAUSE = 2_000;
const MAX_TEXT = 4_000;

interface ComposerProps {
  readonly room: string;
  readonly outbox: Outbox;
  readonly connection: Indicator;
  /** What was written and not sent, by room. */
  readonly drafts: Map<string, string>;
}

export function Composer({ room: name, outbox, connection, drafts }: ComposerProps) {
  const client = useClient();
  const [text, setText] = useState(drafts.get(name) ?? "");
  const [picture, setPicture] = useState<Picture>();
  const [problem, setProblem] = useState("");
  const typed = useRef(0);
  const field = useRef<HTMLInputElement>(null);

  const write = (event: ChangeEvent<HTMLInputElement>) => {
    const value = event.target.value;
    setText(value);
    drafts.set(name, value);
    const isOver = value === "";
    if (!isOver && Date.now() - typed.current < TYPING_PAUSE) return;
    typed.current = isOver ? 0 : Date.now();
    chatRoom(client, name).typing(!isOver);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() === "" && !picture) return;
    const room = chatRoom(client, name);
    outbox.send(room, picture ? { text: text.trim(), picture } : { text: text.trim() });
    if (typed.current > 0) room.typing(false);
    typed.current = 0;
    setText("");
    drafts.delete(name);
    setPicture(undefined);
    setProblem("");
    field.current?.focus();
  };
  const attach = async (files: FileList | null | undefined) => {
    const file = [...(files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file) return;
    try {
      setPicture(await shrink(file));
      setProblem("");
    } catch {
      setProblem("This file cannot be sent as an image.");
    }
    field.current?.focus();
  };

  return (
    <form className="composer" onSubmit={submit} onDragOver={(event) => event.preventDefault()}
      onDrop={(event: DragEvent) => {
        event.preventDefault();
        void attach(event.dataTransfer.files);
      }}>
      {picture && (
        <div className="attachment">
          <img src={dataUrl(picture)} width={picture.width} height={picture.height} alt="Image to send" />
          <button type="button" className="round" aria-label="Remove the image" onClick={() => setPicture(undefined)}><CloseIcon /></button>
        </div>
      )}
      <div className="write">
        <label className="round" title="Send an image">
          <ImageIcon />
          <span className="hidden-text">Send an image</span>
          <input type="file" accept="image/*" onChange={(event) => {
            void attach(event.target.files);
            event.target.value = "";
          }} />
        </label>
        <input ref={field} id="message" data-testid="input" aria-label="Message" placeholder="Write a message" autoComplete="off" enterKeyHint="send"
          maxLength={MAX_TEXT} value={text} onChange={write}
          onPaste={(event: ClipboardEvent) => void attach(event.clipboardData.files)} />
        <button type="submit" className="send" data-testid="send" aria-label="Send"><SendIcon /></button>
      </div>
      <p className="under">
        {problem !== "" ? <span className="problem" role="alert">{problem}</span> : <span className="hint">Enter sends. An image can be pasted or dropped here.</span>}
        <Queue outbox={outbox} isConnected={connection.kind === "connected"} />
      </p>
    </form>
  );
}

/** Publishes that the node has not acknowledged yet. */
function Queue({ outbox, isConnected }: { outbox: Outbox; isConnected: boolean }) {
  const client = useClient();
  // Only this page's outbox publishes: the number changes when it does.
  const queued = useSyncExternalStore(outbox.subscribe, () => client.queued);
  // While connected it is on its way: no colour that comes and goes with each message.
  const isWaiting = queued > 0 && !isConnected;
  return (
    <span className="queue" data-waiting={isWaiting}>
      <span data-testid="queue">{queued} queued</span>
      {isWaiting && <span>, sent when the connection is back</span>}
    </span>
  );
}
