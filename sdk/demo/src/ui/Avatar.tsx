// A person as initials on a colour that follows from the name.
import { initials, tint } from "../names";

export const Avatar = ({ name, size = "normal" }: { name: string; size?: "small" | "normal" }) => (
  <span className={`avatar tint-${tint(name)} ${size}`} aria-hidden="true">{initials(name)}</span>
);
