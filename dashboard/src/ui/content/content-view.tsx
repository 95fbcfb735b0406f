/** A payload or a result by its media type. Nothing of it is taken for a part of the page. */
import { readContent } from "@muster/protocol";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { bytes as size } from "../../format/span.ts";
import { CopyButton } from "../copy.tsx";
import { JsonView } from "./json-view.tsx";

/** Pictures that cannot hold scripts. */
const IMAGES = /^image\/(?:png|jpeg|gif|webp|avif)$/;

/** Deeper JSON is shown as text: the page would nest as deep. */
const MAX_DEPTH = 200;

export function ContentView({
  bytes,
  contentType,
  name,
}: {
  bytes: Uint8Array;
  contentType: string;
  name: string;
}): ReactNode {
  const content = useMemo(() => readContent(bytes, contentType), [bytes, contentType]);
  const type = contentType.split(";", 1)[0]?.trim() ?? "";
  return (
    <div className="stack tight">
      <p className="row muted small">
        {contentType === "" ? "application/json" : contentType}, {size(bytes.length)}
        {content.kind === "binary" ? (
          <Download bytes={bytes} name={name} />
        ) : (
          <CopyButton text={content.text} label="Copy" />
        )}
      </p>
      {content.kind === "json" && depthOf(content.text) <= MAX_DEPTH ? (
        <JsonView text={content.text} />
      ) : null}
      {content.kind === "text" || (content.kind === "json" && depthOf(content.text) > MAX_DEPTH) ? (
        <pre className="text-content">{content.text}</pre>
      ) : null}
      {content.kind === "binary" && IMAGES.test(type) ? (
        <Picture bytes={bytes} type={type} name={name} />
      ) : null}
    </div>
  );
}

/** Brackets that are open at once, those within strings among them: at least the depth. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  for (const character of text) {
    if (character === "[" || character === "{") most = Math.max(most, ++depth);
    else if (character === "]" || character === "}") depth--;
  }
  return most;
}

function useObjectUrl(bytes: Uint8Array, type: string): string | undefined {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([new Uint8Array(bytes)], { type }));
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [bytes, type]);
  return url;
}

function Picture({ bytes, type, name }: { bytes: Uint8Array; type: string; name: string }): ReactNode {
  const url = useObjectUrl(bytes, type);
  return url ? <img className="picture" src={url} alt={name} /> : null;
}

function Download({ bytes, name }: { bytes: Uint8Array; name: string }): ReactNode {
  const url = useObjectUrl(bytes, "application/octet-stream");
  return url ? (
    <a href={url} download={name}>
      Save
    </a>
  ) : null;
}
