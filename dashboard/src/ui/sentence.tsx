/** A sentence of the scheduler, in which what it names is a link. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { type Part, parts } from "../format/references.ts";

/** The sentence is text: nothing in it is taken for HTML. */
export function Sentence({ text }: { text: string }): ReactNode {
  return <span className="sentence">{parts(text).map(toNode)}</span>;
}

function toNode(part: Part, index: number): ReactNode {
  switch (part.kind) {
    case "task":
      return (
        <Link key={index} to="/tasks/$id" params={{ id: part.id }}>
          {part.text}
        </Link>
      );
    case "worker":
      return (
        <Link key={index} to="/workers/$id" params={{ id: part.id }}>
          {part.text}
        </Link>
      );
    case "queue":
      return (
        <Link key={index} to="/queues/$name" params={{ name: part.id }}>
          {part.text}
        </Link>
      );
    case "command":
      return <code key={index}>{part.text.slice(1, -1)}</code>;
    default:
      return part.text;
  }
}
