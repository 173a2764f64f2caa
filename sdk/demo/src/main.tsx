// The page's one entry: reads its settings, makes the sessions, draws the app.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Sessions } from "./session";
import { readSettings } from "./settings";
import { App } from "./ui/App";
import "./style/base.css";
import "./style/frame.css";
import "./style/chat.css";
import "./style/live.css";

const marker = document.querySelector<HTMLMetaElement>("meta[name=roomcast-demo-key]");
const settings = readSettings(new URL(location.href), marker?.content);

/** Storage is refused in some private windows: then the name lasts as long as the page. */
function tabStorage(): Storage | undefined {
  try {
    return window.sessionStorage;
  } catch {
    return undefined;
  }
}

const root = document.getElementById("app");
if (root) {
  const sessions = new Sessions(settings, tabStorage());
  createRoot(root).render(<StrictMode><App settings={settings} sessions={sessions} /></StrictMode>);
}
