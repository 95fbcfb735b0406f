/** The scheduler's API for pools: apart, so that only the pages of pools load it. */
import { createClient } from "@connectrpc/connect";
import { PoolService } from "@muster/protocol";
import { transport } from "./transport.ts";

export const pools = createClient(PoolService, transport);
