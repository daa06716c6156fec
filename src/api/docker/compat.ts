/** What of Docker's API is served and how: docs/docker-compat.md, which `scripts/generate-compat.ts` writes. */
import type { Operation } from "./operation.ts";

/** One operation of Docker's swagger.yaml. */
export interface DockerOperation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
}

/** Lines of scripts/docker-operations.tsv: id, method, path. */
export const parseDockerOperations = (text: string): DockerOperation[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [id = "", method = "", path = ""] = line.split("\t");
      return { id, method, path };
    });

/** Names in braces are the client's business: only that there is one counts. */
const targetOf = ({ method, path }: Pick<DockerOperation, "method" | "path">): string =>
  `${method} ${path.replaceAll(/\{[^}]*\}/g, "{}")}`;

const INTRODUCTION = `# Docker's API and onggi's

First the API, then [the command line](#dockers-command-line-and-onggis). Every operation of Docker's Engine API (the swagger.yaml of v1.56, moby/moby), and what onggi makes of it. Written by
\`scripts/generate-compat.ts\` out of the operations themselves. What holds for all of them is in [api.md](api.md).

- **done**: as Docker has it.
- **differs**: served, with the difference that is named.
- **absent**: \`404 page not found\`.
`;

export function compatDocument(docker: readonly DockerOperation[], operations: readonly Operation[]): string {
  const served = new Map(operations.map((operation) => [targetOf(operation), operation]));
  const rows = docker.map((one) => {
    const ours = served.get(targetOf(one));
    const how = ours === undefined ? "absent" : ours.differs === undefined ? "done" : "differs";
    return { how, text: `| ${one.id} | \`${one.method} ${one.path}\` | ${how} | ${ours?.differs ?? ""} |` };
  });
  const count = (how: string): number => rows.filter((row) => row.how === how).length;
  return [
    INTRODUCTION,
    `Of ${rows.length} operations ${count("done")} are done, ${count("differs")} differ and ${count("absent")} are absent.\n`,
    "| operation | request | onggi | difference |",
    "| --- | --- | --- | --- |",
    ...rows.map(({ text }) => text),
    "",
  ].join("\n");
}
