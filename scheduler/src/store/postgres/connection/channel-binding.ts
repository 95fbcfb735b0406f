import pg from "pg";
import type { DatabaseAddress } from "./url/database-url.ts";

/** SCRAM bound to the TLS channel: a proxy between client and server cannot relay it. */
const BOUND = "SCRAM-SHA-256-PLUS";

/** The class of connection that a URL needs. */
export function clientOf({ channelBinding }: Pick<DatabaseAddress, "channelBinding">): typeof pg.Client {
  return channelBinding === "require" ? BoundClient : pg.Client;
}

/**
 * Logs in with SCRAM bound to the TLS channel, or not at all. The driver alone would use a weaker method when the server
 * does not offer it; here the connection ends before anything of the password is sent.
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
    // The driver adds its own listeners later, when it connects.
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
