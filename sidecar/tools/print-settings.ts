/** Prints the rows of the README's configuration table. */
import { SETTING_ROWS } from "../src/config-settings.ts";

for (const row of SETTING_ROWS) console.log(`| \`${row.name}\` | ${row.default} | ${row.meaning} |`);
