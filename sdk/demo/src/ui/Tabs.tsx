// What a small screen shows: one pane at a time. Large screens show all and hide these.
import { ChatIcon, PeopleIcon, PulseIcon } from "./icons";

const PANES = [
  { id: "chat", label: "Chat", Icon: ChatIcon },
  { id: "rooms", label: "Rooms & people", Icon: PeopleIcon },
  { id: "live", label: "Live", Icon: PulseIcon },
] as const;
export type Pane = (typeof PANES)[number]["id"];

export const Tabs = ({ pane, onPane }: { pane: Pane; onPane: (pane: Pane) => void }) => (
  <nav className="tabs" aria-label="Panes">
    {PANES.map(({ id, label, Icon }) => (
      <button key={id} type="button" aria-pressed={id === pane} onClick={() => onPane(id)}><Icon />{label}</button>
    ))}
  </nav>
);
