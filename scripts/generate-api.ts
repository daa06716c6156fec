/** Writes the table of operations into docs/api.md. A test fails while it is not as the operations say. */
import { operations } from "../src/api/docker/operations.ts";
import { withTable } from "../src/api/docker/table.ts";

const page = `${import.meta.dir}/../docs/api.md`;
await Bun.write(page, withTable(await Bun.file(page).text(), operations));
