/** JSON as a tree that opens and closes. */
import { type ReactNode, useMemo, useState } from "react";
import { type JsonNode, parseJson } from "../../format/json-tree.ts";

/** Levels that are open at first. */
const OPEN_LEVELS = 2;

/** Members that are shown at once. */
const MEMBERS = 100;

/** Characters of a string before it is folded. */
const LONG = 400;

export function JsonView({ text }: { text: string }): ReactNode {
  const node = useMemo(() => parseJson(text), [text]);
  return (
    <div className="json mono">
      <Value node={node} level={0} />
    </div>
  );
}

function Value({ node, level }: { node: JsonNode; level: number }): ReactNode {
  switch (node.kind) {
    case "object":
      return (
        <Members open="{" close="}" count={node.entries.length} level={level}>
          {(shown) =>
            node.entries.slice(0, shown).map(([name, value], index) => (
              <div className="json-member" key={index}>
                <span className="json-name">{JSON.stringify(name)}</span>:{" "}
                <Value node={value} level={level + 1} />
              </div>
            ))
          }
        </Members>
      );
    case "array":
      return (
        <Members open="[" close="]" count={node.items.length} level={level}>
          {(shown) =>
            node.items.slice(0, shown).map((value, index) => (
              <div className="json-member" key={index}>
                <Value node={value} level={level + 1} />
              </div>
            ))
          }
        </Members>
      );
    case "string":
      return <Text value={node.value} />;
    default:
      return <span className={`json-${node.kind}`}>{node.text}</span>;
  }
}

function Members({
  open,
  close,
  count,
  level,
  children,
}: {
  open: string;
  close: string;
  count: number;
  level: number;
  children: (shown: number) => ReactNode;
}): ReactNode {
  const [isOpen, setOpen] = useState(level < OPEN_LEVELS);
  const [shown, setShown] = useState(MEMBERS);
  if (count === 0)
    return (
      <span>
        {open}
        {close}
      </span>
    );
  return (
    <>
      <button
        type="button"
        className="json-toggle"
        aria-expanded={isOpen}
        aria-label={`${count} ${open === "{" ? "members" : "items"}`}
        onClick={() => setOpen(!isOpen)}
      >
        {isOpen ? "▾" : "▸"} {open}
        {isOpen ? "" : ` ${count} ${close}`}
      </button>
      {isOpen ? (
        <>
          <div className="json-members">
            {children(shown)}
            {count > shown ? (
              <button type="button" className="button quiet" onClick={() => setShown(shown + 10 * MEMBERS)}>
                Show more of {count}
              </button>
            ) : null}
          </div>
          {close}
        </>
      ) : null}
    </>
  );
}

function Text({ value }: { value: string }): ReactNode {
  const [all, setAll] = useState(value.length <= LONG);
  return (
    <>
      <span className="json-string">{JSON.stringify(all ? value : value.slice(0, LONG))}</span>
      {all ? null : (
        <button type="button" className="button quiet" onClick={() => setAll(true)}>
          Show all {value.length} characters
        </button>
      )}
    </>
  );
}
