import pg from "pg";
import type { DatabaseAddress } from "./database-url.ts";

/** SCRAM bound to the TLS channel: who sits between client and server cannot pass it on. */
const BOUND = "SCRAM-SHA-256-PLUS";

/** The kind of connection that a URL asks for. */
export function clientOf({ channelBinding }: Pick<DatabaseAddress, "channelBinding">): typeof pg.Client {
  return channelBinding === "require" ? BoundClient : pg.Client;
}

/**
 * Logs in with SCRAM that is bound to the TLS channel, or not at all. The driver takes that kind when the server offers
 * it, and would take a weaker one when it does not: here the connection ends before anything of the password is sent.
 */
class BoundClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const { connection } = this;
    let bound = false;
    const refuse = (what: string) => {
      const error = new Error(
        `channel_binding=require in DATABASE_URL, and ${what}; PostgreSQL offers it over TLS to roles with a scram-sha-256 password`,
      );
      connection.emit("error", error);
      connection.stream.destroy();
    };
    // The driver's own listeners come later, when it connects.
    connection.on("authenticationCleartextPassword", () => refuse("the server asks for the plain password"));
    connection.on("authenticationMD5Password", () => refuse("the server asks for an MD5 password"));
    connection.on("authenticationSASL", ({ mechanisms }: { mechanisms: readonly string[] }) => {
      if (!mechanisms.includes(BOUND)) refuse(`the server offers ${mechanisms.join(", ")} alone`);
    });
    connection.on("authenticationSASLFinal", () => {
      bound = true;
    });
    connection.on("authenticationOk", () => {
      if (!bound) refuse("the server lets the role in without it");
    });
  }
}
