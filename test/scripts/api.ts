import { writePublicApi } from "../support/repo/public-api.ts";

await writePublicApi();
