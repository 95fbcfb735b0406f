import type { Environment } from "../config.ts";

const MASK = "[redacted]";

/** Names of variables, flags and fields whose values are nobody's business. */
const SECRET_NAME = /token|secret|passw|passphrase|credential|private|api_?-?key|access_?-?key|auth/i;

/** A value shorter than this may be an ordinary word, and masking it everywhere would only confuse. */
const MIN_SECRET = 6;

/** Takes secrets out of text that leaves the machine: the values of variables that sound secret, and what looks like one. */
export class Redactor {
  readonly #values: readonly string[];

  /** @param env The environment of the process whose text it is. */
  constructor(env: Environment) {
    const values = Object.entries(env).flatMap(([name, value = ""]) => {
      if (SECRET_NAME.test(name) && value.length >= MIN_SECRET) return [value];
      return passwordOf(value);
    });
    // Longer ones first: one may be part of another.
    this.#values = [...new Set(values)].sort((a, b) => b.length - a.length);
  }

  /** A command line, each argument as it was given, quoted where it has spaces. */
  command(argv: readonly string[]): string {
    const shown = argv.map((argument, at) => {
      const before = argv[at - 1] ?? "";
      if (at > 0 && /^--?[^=]+$/.test(before) && SECRET_NAME.test(before) && !argument.startsWith("-"))
        return MASK;
      const [, name = "", value = ""] = /^(-{0,2}[A-Za-z][\w.-]*)=(.+)$/s.exec(argument) ?? [];
      return value !== "" && SECRET_NAME.test(name) ? `${name}=${MASK}` : argument;
    });
    return this.text(shown.map((part) => (/[\s"]/.test(part) ? JSON.stringify(part) : part)).join(" "));
  }

  /** Any text. */
  text(text: string): string {
    let shown = text;
    for (const value of this.#values) shown = shown.replaceAll(value, MASK);
    return shown
      .replace(/(\w+:\/\/[^\s:/@]+:)[^\s@/]+@/g, `$1${MASK}@`)
      .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${MASK}`);
  }
}

/** The password of a URL such as DATABASE_URL. */
function passwordOf(value: string): string[] {
  const password = /^\w+:\/\/[^\s:/@]+:([^\s@/]+)@/.exec(value)?.[1] ?? "";
  return password.length >= MIN_SECRET ? [password] : [];
}
