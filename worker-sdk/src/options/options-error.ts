/** Options are not valid. Thrown by constructors and by calls with options, with every fault at once. */
export class OptionsError extends Error {
  override readonly name = "OptionsError";
  /** One sentence a fault: the option, its value and what is allowed. */
  readonly faults: readonly string[];

  constructor(subject: string, faults: readonly string[]) {
    const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
    super(`${subject}: ${count} in the options:\n${faults.map((fault) => `  - ${fault}`).join("\n")}`);
    this.faults = faults;
  }
}
