/** Options are wrong; `faults` has every fault that was found. Thrown by the constructors. */
export class OptionsError extends Error {
  override readonly name = "OptionsError";
  /** One sentence each: what was wrong, the value, what is allowed. */
  readonly faults: readonly string[];

  constructor(subject: string, faults: readonly string[]) {
    const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
    super(`${subject}: ${count} in the options:\n${faults.map((fault) => `  - ${fault}`).join("\n")}`);
    this.faults = faults;
  }
}
