import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import type { Cost } from "../../domain/matching/capacity.ts";
import type { KnownSize } from "../../domain/matching/known-size.ts";
import { newTask } from "../../store/testing/made-rows.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Session } from "../sessions/session.ts";
import { FitWarnings } from "./fit-warnings.ts";

const gpu = (amount: number): Cost => [{ name: "gpu", amount }];
const small: KnownSize = { workerId: "w-1", slots: 2, capacities: { gpu: 8 }, goneMs: undefined };

const taskOf = (cost: Cost | undefined) => newTask({ requirements: { labels: {}, resources: [], cost } });

/** A class for each cost; `eligible` says whether a connected worker can run it. */
function build(parts: { sizes?: () => Promise<KnownSize[]>; eligible?: (cost: number) => boolean }) {
  const { sizes = async () => [small], eligible = () => false } = parts;
  let now = 0;
  let reads = 0;
  const classOf = (cost: Cost | undefined) => {
    const id = cost?.[0]?.amount ?? 0;
    return { id, queue: "q", type: "t", requirements: { labels: {}, resources: [], cost } };
  };
  const classes: Pick<ClassIndex, "get" | "resolveAll"> = {
    get: (id) => ({ eligible: eligible(id) ? [{} as Session] : [] }) as unknown as ClassEntry,
    resolveAll: async (wanted) => wanted.map(({ requirements }) => classOf(requirements.cost)),
  };
  const store = {
    knownSizes: () => {
      reads++;
      return sizes();
    },
  };
  const warnings = new FitWarnings({
    store,
    classes,
    clock: { monotonic: () => now },
    log: { debug: () => undefined },
  });
  return {
    of: (...costs: (Cost | undefined)[]) => warnings.of(costs.map(taskOf)),
    concerns: (cost: Cost | undefined) => warnings.concerns([taskOf(cost)]),
    pass: (ms: number) => {
      now += ms;
    },
    reads: () => reads,
  };
}

describe("warnings of a submit", () => {
  it("are looked for only when a task costs more than one slot", () => {
    const { concerns } = build({});
    assert.deepEqual([concerns(undefined), concerns(gpu(1))], [false, true]);
  });

  it("name what would have to change, for each task that no known worker fits", async () => {
    const { of } = build({});
    const [plain, fitting, tooLarge] = (await of(undefined, gpu(8), gpu(9))) ?? [];
    assert.deepEqual([plain, fitting, tooLarge?.code], [undefined, undefined, "NEVER_FITS"]);
    assert.match(tooLarge?.message ?? "", /9 gpu.*has 8 \(w-1, connected\).*at least 9 gpu/);
  });

  it("ask the database once a second for a class, and never while a connected worker fits", async () => {
    const known = build({ eligible: (cost) => cost === 5 });
    for (let n = 0; n < 3; n++) await known.of(gpu(5), gpu(9), gpu(9));
    assert.equal(known.reads(), 1);
    known.pass(1_000);
    await known.of(gpu(9));
    assert.equal(known.reads(), 2);
  });

  it("are bounded for a submit of many kinds", async () => {
    const many = build({});
    const found = await many.of(...Array.from({ length: 50 }, (_, n) => gpu(9 + n)));
    assert.deepEqual([many.reads(), found?.filter((warning) => warning !== undefined).length], [20, 20]);
  });

  it("are left out while the database is away, because the tasks have been accepted", async () => {
    const away = build({
      sizes: () => Promise.reject(new DatabaseUnavailableError("away", false, undefined)),
    });
    assert.equal(await away.of(gpu(9)), undefined);
    const broken = build({ sizes: () => Promise.reject(new TypeError("a bug")) });
    await assert.rejects(broken.of(gpu(9)), TypeError);
  });
});
