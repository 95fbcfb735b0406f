declare module "pino-roll" {
  import type { SonicBoom } from "sonic-boom";

  /** Opens a file that is turned over at `size`; the package brings no types of its own. */
  function roll(options: { file: string; size: string; mkdir: boolean }): Promise<SonicBoom>;
  export = roll;
}
