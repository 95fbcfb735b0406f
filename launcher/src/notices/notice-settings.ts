/** Reads where notices come from, from options and the environment. */
import type { Environment } from "../environment.ts";
import { SetupError } from "../setup-error.ts";
import { CLOUDS, type NoticeSettings } from "./notice.ts";

/** The metadata endpoint of all three clouds: link-local, so that only the machine itself reaches it. */
const ADDRESS = "http://169.254.169.254";

/**
 * The settings of `--notices` and `--notices-address`, else of MUSTER_NOTICES and MUSTER_NOTICES_ADDRESS; undefined when notices
 * are not asked for.
 *
 * @throws SetupError for a cloud that is not known, or an address that is none.
 */
export function noticeSettings(
  env: Environment,
  given: { readonly notices?: string; readonly noticesAddress?: string } = {},
): NoticeSettings | undefined {
  const name = given.notices ?? env.MUSTER_NOTICES ?? "";
  if (name === "") return undefined;
  const cloud = CLOUDS.find((known) => known === name);
  if (!cloud)
    throw new SetupError(`"${name}" is no cloud whose notices are known: ${CLOUDS.join(", ")}`, {
      remedy: "correct --notices or MUSTER_NOTICES",
    });
  const text = given.noticesAddress ?? (env.MUSTER_NOTICES_ADDRESS || ADDRESS);
  const address = URL.parse(text);
  if (address?.protocol !== "http:" || address.hostname === "")
    throw new SetupError(`"${text}" is no address of a metadata endpoint, such as ${ADDRESS}`, {
      remedy: "correct --notices-address or MUSTER_NOTICES_ADDRESS",
    });
  return { cloud, address };
}
