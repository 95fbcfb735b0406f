/** Cases of the prose snapshot: tasks that wait for a circuit. */
import type { Circuit, CircuitAsked } from "../../tasks/limits/circuit.ts";
import { ago, member, NOW } from "./fixture.ts";
import { waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const OPEN: Circuit = {
  key: "provider-a",
  state: "open",
  since: ago(40_000).getTime(),
  rule: {
    ...{ key: "provider-a", failureRate: 0.5, windowMs: 60_000, minSamples: 10 },
    ...{ openForMs: 60_000, maxOpenForMs: 600_000, probes: 1 },
  },
  counts: [[ago(60_000).getTime(), 3, 9]],
  failures: [
    { taskId: 17, epoch: 2, code: "PROVIDER_DOWN", message: "503 of provider-a", at: ago(40_000).getTime() },
    { taskId: 12, epoch: 1, code: "TIMED_OUT", message: "", at: ago(50_000).getTime() },
  ],
  openedAt: ago(40_000).getTime(),
  notClosedSince: ago(40_000).getTime(),
  probeAt: NOW.getTime() + 20_000,
  openCount: 1,
  probesSucceeded: 0,
  openReason: undefined,
};

const asked = (facts: Partial<Circuit>, active = 0): { circuit: { asked: CircuitAsked; since: Date } } => ({
  circuit: { asked: { circuit: { ...OPEN, ...facts }, active }, since: ago(30_000) },
});

export const CIRCUIT_PROSE: readonly ProseCase[] = [
  {
    code: "CIRCUIT_OPEN",
    when: "failures opened it",
    write: () => waiting([member()], asked({})),
  },
  {
    code: "CIRCUIT_OPEN",
    when: "an operator opened it until the reset",
    write: () =>
      waiting(
        [member()],
        asked({ openReason: "maintenance (by ada)", probeAt: undefined, counts: [], failures: [] }),
      ),
  },
  {
    code: "CIRCUIT_OPEN",
    when: "it is half-open after two failed probes, and a probe runs",
    write: () => waiting([member()], asked({ state: "half_open", probeAt: undefined, openCount: 3 }, 1)),
  },
];
