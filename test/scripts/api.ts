/** `npm run api`: writes the report of the SDK's public API and the page of options. */
import { writeOptionsPage } from "../support/repo/options/options-page.ts";
import { writePublicApi } from "../support/repo/public-api.ts";

await writePublicApi();
await writeOptionsPage();
