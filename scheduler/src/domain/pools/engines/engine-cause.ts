/** What an engine's own word for the state of a launch means. */
import type { LaunchCause, LaunchObservation } from "../pool-launch.ts";

/** A cause with what to do about it. */
export interface EngineCause {
  readonly cause: LaunchCause;
  readonly remedy: string;
}

/** What engines call an image that they cannot use. */
const IMAGE_REASONS =
  /^(ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|ImageInspectError|ImageNotFound)$/;

const IMAGE_NOT_FOUND: EngineCause = {
  cause: "IMAGE_NOT_FOUND",
  remedy: "correct the image of the pool or the credentials of its registry, then run `muster pool apply`",
};

/** Words of the launcher's own drivers. */
const CAUSES: Readonly<Record<string, EngineCause>> = {
  ImagePullDenied: {
    cause: "IMAGE_PULL_DENIED",
    remedy: "give the launcher credentials that may pull the image, for example with `docker login`",
  },
  RegistryUnreachable: {
    cause: "REGISTRY_UNREACHABLE",
    remedy: "open the way from the engine to the registry, or correct the registry in the image's name",
  },
  EngineRefused: {
    cause: "ENGINE_REFUSED",
    remedy: "correct what the engine names in `launch_template`, then run `muster pool apply`",
  },
  EngineUnreachable: {
    cause: "ENGINE_UNREACHABLE",
    remedy: "start the engine, or correct where the launcher looks for it (`DOCKER_HOST`)",
  },
};

/** The cause that the word names; undefined when it names none. */
export function engineCause({ reason }: LaunchObservation): EngineCause | undefined {
  if (IMAGE_REASONS.test(reason)) return IMAGE_NOT_FOUND;
  return Object.hasOwn(CAUSES, reason) ? CAUSES[reason] : undefined;
}
