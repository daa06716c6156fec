/** Writes docs/docker-compat.md. Tests fail while it is not as the operations and the commands say. */
import { compatDocument, parseDockerOperations } from "../src/api/docker/compat.ts";
import { operations } from "../src/api/docker/operations.ts";
import { commandsDocument, parseDockerCommands } from "../src/cli/docker-compat.ts";

const docker = parseDockerOperations(await Bun.file(`${import.meta.dir}/docker-operations.tsv`).text());
const commands = parseDockerCommands(await Bun.file(`${import.meta.dir}/docker-commands.tsv`).text());
const document = `${compatDocument(docker, operations)}\n${await commandsDocument(commands)}`;
await Bun.write(`${import.meta.dir}/../docs/docker-compat.md`, document);
