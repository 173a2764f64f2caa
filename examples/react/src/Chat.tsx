// A room: its newest messages, who is there, and a field to write in.
import { useRoom } from "@roomcast/client/react";
import { useState } from "react";
import type { FormEvent } from "react";

/** Anybody may have published: the data is read with care. */
function textOf(data: unknown): string {
  const isText = typeof data === "object" && data !== null && "text" in data && typeof data.text === "string";
  return isText ? String(data.text) : JSON.stringify(data);
}

const toEnd = (log: HTMLElement | null) => log?.scrollTo(0, log.scrollHeight);

export function Chat({ name }: { name: string }) {
  const { messages, members, gap, status, publish } = useRoom(name, { history: 50, presence: true, keep: 500 });
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");

  async function send(event: FormEvent) {
    event.preventDefault();
    setText("");
    try {
      // Without a connection it waits in the client, and is sent once there is one.
      await publish({ text });
      setProblem("");
    } catch (error) {
      setProblem(`not sent, ${String(error)}: ${text}`);
    }
  }

  return (
    <section>
      <h2>
        {name} ({status})
      </h2>
      <p>Here: {[...members.keys()].join(", ") || "nobody yet"}</p>
      <div ref={toEnd} role="log" aria-label="Messages" tabIndex={0}>
        <ol>
          {messages.map(({ epoch, seq, user, data }) => (
            <li key={`${epoch}-${seq}`}>
              {gap?.epoch === epoch && gap.to + 1 === seq && <p>Messages are missing here.</p>}
              {user ?? "somebody"}: {textOf(data)}
            </li>
          ))}
        </ol>
      </div>
      <form onSubmit={(event) => void send(event)}>
        <label>
          Message <input value={text} onChange={(event) => setText(event.target.value)} autoComplete="off" required />
        </label>
        <button>Send</button>
      </form>
      <p role="alert">{problem}</p>
    </section>
  );
}
