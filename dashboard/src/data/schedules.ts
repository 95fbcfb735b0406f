/** The scheduler's API for schedules: apart, so that only the pages of schedules load it. */
import { createClient } from "@connectrpc/connect";
import { ScheduleService } from "@muster/protocol";
import { transport } from "./transport.ts";

export const schedules = createClient(ScheduleService, transport);
