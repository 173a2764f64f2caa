// A state room as a poll: each user sets the value of one key, its own name, and everybody sees all.
import { useRoom, useRoomState } from "@roomcast/client/react";

const CHOICES = ["soup", "salad", "pizza"];

export function Poll({ name, user }: { name: string; user: string }) {
  const { publish } = useRoom(name);
  const votes = [...useRoomState(name).values()].map(({ data }) => data);
  const vote = (choice: string) => publish(choice, { stateKey: user }).catch(console.error);

  return (
    <section>
      <h2>Lunch</h2>
      <div className="row">
        {CHOICES.map((choice) => (
          <button key={choice} onClick={() => void vote(choice)}>
            {choice}: {votes.filter((other) => other === choice).length}
          </button>
        ))}
      </div>
    </section>
  );
}
