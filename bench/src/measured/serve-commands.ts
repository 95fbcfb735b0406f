/** A command of `Probed`. */
interface Command<I> {
  readonly id: number;
  readonly command?: string;
  readonly input: I;
}

/** Answers the commands of `Probed.command` in the measured program, which lives as long as its measurer. */
export function serveCommands<I>(handlers: Readonly<Record<string, (input: I) => unknown>>): void {
  process.on("message", async ({ id, command, input }: Command<I>) => {
    if (command === undefined) return;
    try {
      const handler = handlers[command];
      if (!handler) throw new Error(`there is no command ${command}`);
      process.send?.({ id, result: (await handler(input)) ?? null });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
  // The probe lets go of the channel; here it is what the program lives for.
  process.channel?.ref();
  process.once("disconnect", () => process.exit(0));
}
