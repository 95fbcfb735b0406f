/** Something on this machine is missing or in use; nothing has been started. */
export class SetupError extends Error {
  override readonly name = "SetupError";
  /** What to do about it. */
  readonly remedy: string;
  /** True when another process has it; otherwise it cannot be used. */
  readonly inUse: boolean;

  constructor(message: string, details: { remedy: string; inUse?: boolean; cause?: unknown }) {
    super(message, { cause: details.cause });
    this.remedy = details.remedy;
    this.inUse = details.inUse ?? false;
  }
}
