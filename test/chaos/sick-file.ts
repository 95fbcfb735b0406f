/** The file that makes the handlers of a worker fail while it is there. */

export function sickFile(historyFile: string, workerId: string): string {
  return `${historyFile}.sick-${workerId}`;
}
