/** Text that is ready to copy. */
import { type ReactNode, useState } from "react";
import { Icon } from "./icons.tsx";

/** A button that copies, and says that it has. */
export function CopyButton({ text, label }: { text: string; label: string }): ReactNode {
  const [result, setResult] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setResult("copied");
    } catch {
      // Browsers have no clipboard for pages without HTTPS, but for those of the own machine.
      setResult("the browser does not allow it; select the text");
    }
  };
  return (
    <button type="button" className="button quiet" onClick={() => void copy()} title={label}>
      <Icon name="copy" size={14} />
      <span role="status">{result === "" ? label : result}</span>
    </button>
  );
}

/** A command or another text in a box with its button. */
export function Copyable({ text }: { text: string }): ReactNode {
  return (
    <div className="copyable">
      <pre>{text}</pre>
      <CopyButton text={text} label="Copy" />
    </div>
  );
}
