import type { Session } from "./session.ts";

/** The sessions that this scheduler holds, live or within their grace. */
export class Registry {
  readonly #byId = new Map<number, Session>();
  readonly #byUuid = new Map<string, Session>();

  add(session: Session): void {
    this.#byId.set(session.id, session);
    this.#byUuid.set(session.uuid, session);
  }

  remove(session: Session): void {
    if (this.#byId.get(session.id) === session) this.#byId.delete(session.id);
    if (this.#byUuid.get(session.uuid) === session) this.#byUuid.delete(session.uuid);
  }

  byId(id: number): Session | undefined {
    return this.#byId.get(id);
  }

  byUuid(uuid: string): Session | undefined {
    return this.#byUuid.get(uuid);
  }

  all(): Iterable<Session> {
    return this.#byId.values();
  }

  get size(): number {
    return this.#byId.size;
  }
}
