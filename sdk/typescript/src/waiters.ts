// Calls that wait for one and the same thing, which comes or fails for all of them at once.
import type { RoomcastError } from "./errors.js";

export type Waiter = (error?: RoomcastError) => void;
export type Waiters = Set<Waiter>;

/** Resolves or rejects when the waiters are settled; `given` gets what settles this one alone. */
export const waitIn = (waiters: Waiters, given?: (waiter: Waiter) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const waiter: Waiter = (error) => {
      waiters.delete(waiter);
      if (error) reject(error);
      else resolve();
    };
    waiters.add(waiter);
    given?.(waiter);
  });

export const settle = (waiters: Waiters, error?: RoomcastError): void => waiters.forEach((waiter) => waiter(error));
