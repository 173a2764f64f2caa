// The text and the picture of a message. As text only: nothing of it becomes markup.
import { memo } from "react";
import { dataUrl } from "../content";
import type { Content } from "../content";

export const Body = memo(function Body({ content: { text, picture }, author }: { content: Content; author: string }) {
  return (
    <>
      {picture && <img className="picture" src={dataUrl(picture)} width={picture.width} height={picture.height} alt={`Image from ${author}`} />}
      {text !== "" && <p className="text">{text}</p>}
    </>
  );
});
