/** Two schedulers on one database, with a client of each. */
import { Client } from "@muster/worker/client";
import { killAll } from "../programs/program.ts";
import type { TestScheduler } from "../programs/scheduler.ts";
import { Fleet } from "./fleet.ts";

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
