// Names of people: made-up ones for a first visit, valid ones for the node, initials and colours.
// Pure; it must not know the page, the client or storage.

const MOODS = ["amber", "brave", "calm", "clever", "early", "gentle", "happy", "kind", "lively", "lucky", "merry",
  "quick", "quiet", "silver", "sunny", "swift", "tidy", "warm", "wild", "witty"];
const ANIMALS = ["badger", "beaver", "crane", "dolphin", "falcon", "finch", "fox", "gecko", "heron", "ibis", "koala",
  "lynx", "marten", "otter", "owl", "panda", "puffin", "raven", "seal", "wren"];

/** The node's bound of a name, in bytes of UTF-8. */
const NAME_BYTES = 128;
/** How many colours of avatars the style sheet has. */
const TINTS = 12;

const pick = (words: readonly string[], random: () => number): string =>
  words[Math.floor(random() * words.length)] ?? "otter";

/** A name for somebody who has not given one. */
export function madeUpName(random: () => number = Math.random): string {
  return `${pick(MOODS, random)}-${pick(ANIMALS, random)}-${Math.floor(random() * 90) + 10}`;
}

/** What was typed, as the node takes names: no blanks, nothing invisible, at most 128 bytes. */
export function toName(text: string): string {
  const visible = text.trim().replace(/\s+/gu, "-").replace(/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu, "");
  let name = "";
  let bytes = 0;
  for (const letter of visible) {
    bytes += new TextEncoder().encode(letter).length;
    if (bytes > NAME_BYTES) break;
    name += letter;
  }
  return name;
}

/** The same for a room; names that begin with `@` or `$` belong to the node. */
export const toRoomName = (text: string): string => toName(text).replace(/^[@$]+/u, "");

/** One or two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== "");
  const letters = words.filter((word, at) => at === 0 || /^\p{L}/u.test(word)).slice(0, 2);
  return letters.map((word) => [...word][0] ?? "").join("").toUpperCase() || "?";
}

/** Which of the avatar colours a name has: the same on every screen. */
export function tint(name: string): number {
  let hash = 0x811c9dc5;
  for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  // The low bits alone would be alike for names that are.
  return ((hash ^ (hash >>> 15)) >>> 0) % TINTS;
}
