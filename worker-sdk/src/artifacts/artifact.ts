/** Outputs of a task: files that are written once, whole or not at all. */

/**
 * An output of a task, as `ctx.artifact()` returns it: plain data, for the result of the task.
 *
 * @example
 * ```ts
 * const { name, size, uri }: Artifact = await ctx.artifact("page.pdf", () => render(ctx.payload));
 * ```
 */
export interface Artifact {
  /** Name within the task. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly checksum: string;
  /** Where it is: `file:///srv/results/...`, `s3://bucket/...`. */
  readonly uri: string;
}

/** A file that is to become an artifact, or is one. */
export interface ArtifactFile {
  /** Path of the file on this machine. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly checksum: string;
}

/** Where the content of an artifact is written. */
export interface ArtifactDraft {
  /** A path at which no file is yet. */
  readonly path: string;
  /** The signal of the attempt (`ctx.signal`). */
  readonly signal: AbortSignal;
}

/** What the function of an artifact may return in place of writing the file. */
export type ArtifactContent =
  | string
  | Uint8Array
  | AsyncIterable<string | Uint8Array>
  | ReadableStream<Uint8Array>;

/**
 * Writes the content of an artifact: to the file at `draft.path`, or by returning it. A text is written as UTF-8, a stream as
 * it comes. Anything else that it returns is ignored.
 */
export type ArtifactWriter = (draft: ArtifactDraft) => unknown;

/**
 * Options of `ctx.artifact()`.
 *
 * @example
 * ```ts
 * await ctx.artifact("clip.mp4", ({ path }) => encode(ctx.payload.url, path), {
 *   contentType: "video/mp4",
 *   validate: async ({ path }) => {
 *     if ((await durationOf(path)) === 0) throw new Error("the clip has no frame");
 *   },
 * });
 * ```
 */
export interface ArtifactOptions {
  /**
   * SHA-256 that the content must have: 64 hexadecimal digits, with or without `sha256:`.
   * @default any
   */
  readonly checksum?: string;
  /**
   * Checks the file; a throw means that it is not valid. It also decides whether an artifact that is there already is valid:
   * one of S3 is downloaded for it.
   * @default none
   */
  readonly validate?: (file: ArtifactFile) => unknown;
  /**
   * True: an empty file is valid.
   * @default false
   */
  readonly allowEmpty?: boolean;
  /**
   * True: it is written again when it is there already, and replaced. Of several attempts at once the last one wins.
   * @default false
   */
  readonly overwrite?: boolean;
  /** Media type that S3 keeps with it. @default `application/octet-stream` */
  readonly contentType?: string;
}
