import { beforeEach, describe } from "node:test";
import { ManualClock } from "../../testing/manual-clock.ts";
import { testAttempts } from "./attempts.conformance.ts";
import { testCircuits } from "./circuits.conformance.ts";
import { testClaims } from "./claims.conformance.ts";
import { testClasses } from "./classes.conformance.ts";
import { testDependencies } from "./dependencies.conformance.ts";
import { testKeys } from "./keys.conformance.ts";
import { memoryUnderTest } from "./memory-store.ts";
import { MemoryTables } from "./memory-tables.ts";
import { testOrders } from "./orders.conformance.ts";
import { testRates } from "./rates.conformance.ts";
import { testSchedules } from "./schedules.conformance.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

describe("the store's roles in memory", () => {
  let test: StoreUnderTest;
  const opened = () => test;

  beforeEach(() => {
    const clock = new ManualClock();
    test = memoryUnderTest(new MemoryTables(clock), (ms) => clock.pass(ms));
  });

  testClasses(opened);
  testClaims(opened);
  testKeys(opened);
  testOrders(opened);
  testRates(opened);
  testCircuits(opened);
  testDependencies(opened);
  testSchedules(opened);
  testAttempts(opened);
});
