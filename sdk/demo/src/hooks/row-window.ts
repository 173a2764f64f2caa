// Draws a long list in steps: see window.ts. It must not know what a row is.
import { useEffect, useState } from "react";
import { EMPTY_WINDOW, nextWindow } from "../window";

/** Time (ms) without new rows after which older ones come back, a step at a time. */
const REST = 24;

/** How many of the newest rows to draw now. */
export function useRowWindow(ids: readonly string[]): number {
  const [drawn, setDrawn] = useState(EMPTY_WINDOW);
  const window = nextWindow(drawn, ids);
  useEffect(() => {
    if (window.rows === drawn.rows && window.last === drawn.last) return;
    const timer = setTimeout(() => setDrawn(window), REST);
    return () => clearTimeout(timer);
  }, [window.rows, window.last, drawn]);
  return window.rows;
}
