import { beforeEach, describe } from "node:test";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { testAttempts } from "../conformance/attempts.conformance.ts";
import { testCircuits } from "../conformance/circuits.conformance.ts";
import { testClaims } from "../conformance/claims.conformance.ts";
import { testClasses } from "../conformance/classes.conformance.ts";
import { testDependencies } from "../conformance/dependencies.conformance.ts";
import { testKeys } from "../conformance/keys.conformance.ts";
import { testOrders } from "../conformance/orders.conformance.ts";
import { testRates } from "../conformance/rates.conformance.ts";
import { testSchedules } from "../conformance/schedules.conformance.ts";
import type { StoreUnderTest } from "../conformance/store-under-test.ts";
import { memoryUnderTest } from "./memory-store.ts";
import { MemoryTables } from "./memory-tables.ts";

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
