/** Writes docs/docker-compat.md. A test fails while it is not as the operations say. */
import { compatDocument, parseDockerOperations } from "../src/api/docker/compat.ts";
import { operations } from "../src/api/docker/operations.ts";

const docker = parseDockerOperations(await Bun.file(`${import.meta.dir}/docker-operations.tsv`).text());
await Bun.write(`${import.meta.dir}/../docs/docker-compat.md`, compatDocument(docker, operations));
