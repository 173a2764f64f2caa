// The text and the picture of a message. Text becomes links at most: nothing else of it becomes markup.
import { memo } from "react";
import type { ReactNode } from "react";
import { dataUrl } from "../content";
import type { Content, Picture } from "../content";
import { linked } from "../links";

interface BodyProps {
  readonly content: Content;
  readonly author: string;
  /** Stands at the end of the last line, where there is room. */
  readonly children: ReactNode;
}

export const Body = ({ content: { text, picture }, author, children }: BodyProps) => (
  <>
    {picture && <Image picture={picture} author={author} />}
    <p className="text">
      {linked(text).map((piece, at) => (typeof piece === "string"
        ? piece
        : <a key={at} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">{piece.href}</a>))}
      {children}
    </p>
  </>
);

/** Encoding it is work: once. */
const Image = memo(function Image({ picture, author }: { picture: Picture; author: string }) {
  return <img className="picture" src={dataUrl(picture)} width={picture.width} height={picture.height} alt={`Image from ${author}`} />;
});
