/** Two schedulers on one database, with a client of each. */
import assert from "node:assert/strict";
import { Client } from "@muster/worker/client";
import { killAll } from "../programs/program.ts";
import { runMuster } from "../programs/run-muster.ts";
import type { TestScheduler } from "../programs/scheduler.ts";
import { Fleet } from "./fleet.ts";

/** Options for leases that a machine under load does not let run out, and for time to accept. */
export const KEEPING = ["--lease", "3", "--reconnect-grace", "3", "--accept-deadline", "10"];

export class SchedulerPair {
  readonly fleet: Fleet;
  readonly atOne: Client;
  readonly atTwo: Client;

  private constructor(fleet: Fleet) {
    this.fleet = fleet;
    this.atOne = new Client({ scheduler: this.one.grpc });
    this.atTwo = new Client({ scheduler: this.two.grpc });
  }

  /** @param args Options of both schedulers, beside those of every fleet. */
  static async start(args: readonly string[] = []): Promise<SchedulerPair> {
    return new SchedulerPair(await Fleet.start({ schedulers: 2, args }));
  }

  get one(): TestScheduler {
    return this.#scheduler(0);
  }

  /** Another object after a restart. */
  get two(): TestScheduler {
    return this.#scheduler(1);
  }

  /** Runs a command at the first scheduler, which must succeed; answers its output. */
  muster(...args: string[]): Promise<string> {
    return this.musterAt(this.one, ...args);
  }

  /** The same at another scheduler. */
  async musterAt({ grpc }: Pick<TestScheduler, "grpc">, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runMuster(grpc, args);
    assert.equal(code, 0, stderr);
    return stdout;
  }

  /** Kills every program, and drops the database. */
  async stop(): Promise<void> {
    this.atOne.close();
    this.atTwo.close();
    await killAll();
    await this.fleet.stop();
  }

  #scheduler(index: 0 | 1): TestScheduler {
    const scheduler = this.fleet.schedulers[index];
    if (scheduler === undefined) throw new Error(`the fleet has no scheduler ${index}`);
    return scheduler;
  }
}
