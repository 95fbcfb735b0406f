// Names of the values of enums.

/** The name of a value; undefined when it has none. */
export function named<Name extends string>(
  values: Readonly<Record<Name, number>>,
  value: number,
): Name | undefined {
  return (Object.keys(values) as Name[]).find((name) => values[name] === value);
}

/** What is wrong with a value that has no name. */
export function unknown(value: number, values: Readonly<Record<string, number>>): string {
  const allowed = Object.entries(values).map(([name, number]) => `${number} (${name.toUpperCase()})`);
  return `${value} is not a value of this version; allowed are ${allowed.join(", ")}`;
}
