/** What a launcher does when its cloud takes the machine away; loaded where notices are asked for. */
export { type MachineWatch, watchMachine } from "./machine-watch.ts";
