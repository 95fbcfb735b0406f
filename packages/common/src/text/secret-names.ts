/** A name with one of these words names a secret, unless a word of `ABOUT` follows. */
const SECRET_WORDS = new Set([
  ...["TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "PW"],
  ...["CREDENTIAL", "CREDENTIALS", "APIKEY", "AUTH", "AUTHORIZATION", "COOKIE", "JWT", "DSN"],
]);

/** Words before KEY or KEYS that make it a secret: KEY alone may be anything. */
const KEY_OF = new Set(
  "API ACCESS PRIVATE SECRET SIGNING ENCRYPTION MASTER LICENSE SERVICE ACCOUNT AUTH SESSION WEBHOOK DEPLOY".split(
    " ",
  ),
);

/** Words after a secret word that mean a property of the secret: its location, its lifetime. */
const ABOUT = new Set(
  `FILE PATH DIR FOLDER URL URI HOST PORT NAME TYPE COUNT LIMIT MAX MIN SIZE LENGTH LEN TTL TIMEOUT EXPIRY EXPIRES
  ENDPOINT ENABLED DISABLED MODE PROVIDER HELPER METHOD SOCK HEADER FIELD ISSUER S MS SECONDS`.split(/\s+/),
);

/** Working folders of shells, whose names look like passwords. */
const FOLDERS = new Set(["PWD", "OLDPWD"]);

/** Values that are never secrets: a switch, a short number, the path of a file. */
const ORDINARY =
  /^(?:true|false|yes|no|on|off|none|null|auto|-?\d{1,9}(?:\.\d+)?|(?:~|\.{1,2})?\/[^\s]*\.[A-Za-z0-9]{1,8})$/i;

/** True when a variable, flag or field of this name and value holds a secret. */
export function isSecret(name: string, value: string): boolean {
  if (FOLDERS.has(name) || ORDINARY.test(value)) return false;
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toUpperCase()
    .split(/[^A-Z0-9]+/)
    .filter((word) => word !== "");
  return words.some((word, at) => {
    if (words.slice(at + 1).some((after) => ABOUT.has(after))) return false;
    const last = at === words.length - 1;
    if (word === "KEY" || word === "KEYS") return KEY_OF.has(words[at - 1] ?? "");
    // TOKENS is often a count (MAX_TOKENS): it is a secret only after a word such as ACCESS.
    if (word === "TOKENS") return last && KEY_OF.has(words[at - 1] ?? "");
    if (word === "PASS" || word === "PW" || word === "AUTH" || word === "DSN") return last;
    return SECRET_WORDS.has(word);
  });
}
