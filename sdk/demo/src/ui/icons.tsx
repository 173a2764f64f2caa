// Drawings of the page, as SVG. Decoration only: what they mean stands beside them as text.
import type { ReactNode } from "react";

const Icon = ({ children }: { children: ReactNode }) => (
  <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">{children}</svg>
);

export const BellIcon = () => <Icon><path d="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15z" /><path d="M10 20.5a2.2 2.2 0 0 0 4 0" /></Icon>;
export const SendIcon = () => <Icon><path d="M4 12 20 4l-5 16-3.5-6.5z" /><path d="m11.500 13.500 8.500-9.500" /></Icon>;
export const ImageIcon = () => <Icon><rect x="3.500" y="5" width="17" height="14" rx="3" /><circle cx="9" cy="10" r="1.600" /><path d="m5 17 5-4 3 2.200 3.500-3.200L20 15" /></Icon>;
export const ChatIcon = () => <Icon><path d="M4 6.500A2.500 2.500 0 0 1 6.500 4h11A2.500 2.500 0 0 1 20 6.500v7a2.500 2.500 0 0 1-2.500 2.500H11l-5 4v-4.100A2.500 2.500 0 0 1 4 13.500z" /></Icon>;
export const PeopleIcon = () => <Icon><circle cx="9" cy="8.500" r="3.300" /><path d="M3 19.500c.4-3.400 2.900-5.300 6-5.300s5.600 1.900 6 5.300" /><path d="M15.500 5.500a3.200 3.200 0 0 1 0 6M17.600 14.700c2 .7 3.200 2.400 3.400 4.800" /></Icon>;
export const PulseIcon = () => <Icon><path d="M3 12.500h4l2.500-7 4.500 13 2.500-6H21" /></Icon>;
export const DownIcon = () => <Icon><path d="M12 5v14m-6-6 6 6 6-6" /></Icon>;
export const ClockIcon = () => <Icon><circle cx="12" cy="12" r="8.500" /><path d="M12 7v5.200l3.300 2" /></Icon>;
export const CloseIcon = () => <Icon><path d="m6 6 12 12M18 6 6 18" /></Icon>;

/** One source and its waves: the mark of the page. */
export const Mark = () => (
  <svg className="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="9" />
    <circle cx="11" cy="21" r="3" />
    <path d="M11 13.500a7.500 7.500 0 0 1 7.500 7.500M11 7.500A13.500 13.500 0 0 1 24.500 21" />
  </svg>
);

export const Ticks = ({ two }: { two: boolean }) => (
  <svg className="ticks" viewBox="0 0 20 12" aria-hidden="true" focusable="false">
    <path d="m1.500 6.500 3.500 3.500 7-8" />
    {two && <path d="m9 9 1 1 7-8" />}
  </svg>
);
