// How the connection is: the hook's state, and the client's event for the seconds until the next attempt.
import { useClient, useConnection } from "@roomcast/client/react";
import { useEffect, useState } from "react";

export function Connection() {
  const client = useClient();
  const state = useConnection();
  const [nextAttempt, setNextAttempt] = useState(0);
  const [now, setNow] = useState(0);

  useEffect(() => client.on("reconnecting", ({ delayMs }) => setNextAttempt(Date.now() + delayMs)), [client]);
  useEffect(() => {
    if (state !== "reconnecting") return;
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [state]);

  const seconds = Math.max(0, Math.ceil((nextAttempt - now) / 1000));
  return (
    <p>
      <span role="status">{state}</span> {state === "reconnecting" && now > 0 && `in ${seconds} s`}
    </p>
  );
}
