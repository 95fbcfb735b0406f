/** Masks secrets. */
import { isSecret } from "./secret-names.ts";

const MASK = "[redacted]";

/** A shorter value may be an ordinary word and is not masked. */
const MIN_SECRET = 8;

/** A shorter value is masked only as a whole word: within a word it may be a coincidence. */
const MIN_ANYWHERE = 16;

/** Masks secrets in text that leaves the machine: values of secret variables, and patterns such as bearer tokens. */
export class Redactor {
  readonly #values: readonly string[];

  /** @param env The environment of the process whose text it is. */
  constructor(env: Readonly<Record<string, string | undefined>>) {
    const values = Object.entries(env).flatMap(([name, value = ""]) => {
      if (isSecret(name, value) && value.length >= MIN_SECRET) return [value];
      return passwordOf(value);
    });
    // Longer values first: one may be part of another.
    this.#values = [...new Set(values)].sort((a, b) => b.length - a.length);
  }

  /** A command line with masked secrets; arguments with spaces are quoted. */
  command(argv: readonly string[]): string {
    const shown = argv.map((argument, at) => {
      const before = argv[at - 1] ?? "";
      const isValue = at > 0 && /^--?[^=]+$/.test(before) && !argument.startsWith("-");
      if (isValue && isSecret(before, argument)) return MASK;
      const [, name = "", value = ""] = /^(-{0,2}[A-Za-z][\w.-]*)=(.+)$/s.exec(argument) ?? [];
      return value !== "" && isSecret(name, value) ? `${name}=${MASK}` : argument;
    });
    return this.text(shown.map((part) => (/[\s"]/.test(part) ? JSON.stringify(part) : part)).join(" "));
  }

  /** Any text. */
  text(text: string): string {
    let shown = text;
    for (const value of this.#values) {
      shown =
        value.length >= MIN_ANYWHERE
          ? shown.replaceAll(value, MASK)
          : shown.replaceAll(new RegExp(`(?<![A-Za-z0-9])${escaped(value)}(?![A-Za-z0-9])`, "g"), MASK);
    }
    // With bounds: without them a line of 32,000 letters takes seconds, because each letter may begin a scheme.
    return shown
      .replace(/\b(\w{1,32}:\/\/[^\s:/@]{1,256}:)[^\s@/]{1,4096}@/g, `$1${MASK}@`)
      .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]{6,}/gi, `$1 ${MASK}`);
  }
}

/** The password of a URL such as DATABASE_URL. */
function passwordOf(value: string): string[] {
  const password = /^\w+:\/\/[^\s:/@]+:([^\s@/]+)@/.exec(value)?.[1] ?? "";
  return password.length >= MIN_SECRET ? [password] : [];
}

/** A regular expression that matches exactly this text. */
function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
