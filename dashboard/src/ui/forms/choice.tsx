/** One of a few settings of a page. */
import type { ReactNode } from "react";

export function Choice<T extends string>({
  legend,
  options,
  value,
  onChoose,
}: {
  /** What is chosen; only read aloud. */
  legend: string;
  options: readonly { readonly value: T; readonly label: string }[];
  value: T;
  onChoose: (value: T) => void;
}): ReactNode {
  return (
    <fieldset className="choice">
      <legend className="visually-hidden">{legend}</legend>
      {options.map((option) => (
        <label key={option.value}>
          <input
            type="radio"
            name={legend}
            checked={option.value === value}
            onChange={() => onChoose(option.value)}
          />
          {option.label}
        </label>
      ))}
    </fieldset>
  );
}
