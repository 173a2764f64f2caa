// The entry: one client for the whole page, given to all components.
import { Client } from "@roomcast/client";
import { RoomcastProvider } from "@roomcast/client/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import { Connection } from "./Connection";
import { Poll } from "./Poll";
import "./style.css";

const query = new URLSearchParams(location.search);
const node = query.get("node") ?? "http://127.0.0.1:8080";
const user = query.get("user") ?? `guest-${Math.floor(Math.random() * 10_000)}`;
const client = new Client(`${node}/ws`, { user });

const root = document.getElementById("app");
if (root)
  createRoot(root).render(
    <StrictMode>
      <RoomcastProvider client={client}>
        <main>
          <h1>{user}</h1>
          <Connection />
          <Chat name="demo:lobby" />
          <Poll name="board:lunch" user={user} />
        </main>
      </RoomcastProvider>
    </StrictMode>,
  );
