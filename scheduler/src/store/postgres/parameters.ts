/** Collects the parameters of a statement that is put together for each filter. */
export class Parameters {
  readonly values: unknown[] = [];

  /** Further ones after these. */
  static after(values: readonly unknown[]): Parameters {
    const parameters = new Parameters();
    parameters.values.push(...values);
    return parameters;
  }

  /** The parameter for a value. */
  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}
