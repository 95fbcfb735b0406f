import { writeOptionsPage } from "../support/repo/options/options-page.ts";
import { writePublicApi } from "../support/repo/public-api.ts";

await writePublicApi();
await writeOptionsPage();
