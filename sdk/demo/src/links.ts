// Finds addresses in a text, so that they can be drawn as links. Pure; it must not make markup.

export type Piece = string | { readonly href: string };

/** Only these two schemes: an address of another one could be a program. The last character ends no sentence. */
const ADDRESS = /https?:\/\/[^\s<>"]*[^\s<>"'.,;:!?)\]}]/giu;

/** The text in pieces; put together they are the text again. */
export function linked(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const { 0: href, index } of text.matchAll(ADDRESS)) {
    if (index > from) pieces.push(text.slice(from, index));
    pieces.push({ href });
    from = index + href.length;
  }
  if (from < text.length) pieces.push(text.slice(from));
  return pieces;
}
