/** A name with one of these words is that of a secret, unless a word of `ABOUT` follows. */
const SECRET_WORDS = new Set([
  ...["TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "PW"],
  ...["CREDENTIAL", "CREDENTIALS", "APIKEY", "AUTH", "AUTHORIZATION", "COOKIE", "JWT", "DSN"],
]);

/** Words before KEY or KEYS that make it one that is secret: a KEY alone may be of anything. */
const KEY_OF = new Set(
  "API ACCESS PRIVATE SECRET SIGNING ENCRYPTION MASTER LICENSE SERVICE ACCOUNT AUTH SESSION WEBHOOK DEPLOY".split(
    " ",
  ),
);

/** Words after a secret one that say that the value is something about it: where it is, how long it lasts. */
const ABOUT = new Set(
  `FILE PATH DIR FOLDER URL URI HOST PORT NAME TYPE COUNT LIMIT MAX MIN SIZE LENGTH LEN TTL TIMEOUT EXPIRY EXPIRES
  ENDPOINT ENABLED DISABLED MODE PROVIDER HELPER METHOD SOCK HEADER FIELD ISSUER S MS SECONDS`.split(/\s+/),
);

/** Working folders of shells, whose names look like passwords. */
const FOLDERS = new Set(["PWD", "OLDPWD"]);

/** What no secret is: a switch, a number that a person would type, the path of a file. */
const ORDINARY =
  /^(?:true|false|yes|no|on|off|none|null|auto|-?\d{1,9}(?:\.\d+)?|(?:~|\.{1,2})?\/[^\s]*\.[A-Za-z0-9]{1,8})$/i;

/** True when a variable, flag or field of this name holds a secret, as far as name and value tell. */
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
    // Tokens are counted (MAX_TOKENS) as often as kept: only what belongs to an authority is secret.
    if (word === "TOKENS") return last && KEY_OF.has(words[at - 1] ?? "");
    if (word === "PASS" || word === "PW" || word === "AUTH" || word === "DSN") return last;
    return SECRET_WORDS.has(word);
  });
}
