import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { compatDocument, parseDockerOperations } from "./compat.ts";
import { json, operation } from "./operation.ts";
import { operations } from "./operations.ts";

const repository = `${import.meta.dir}/../../..`;
const docker = parseDockerOperations(readFileSync(`${repository}/scripts/docker-operations.tsv`, "utf8"));

test("docs/docker-compat.md begins as the operations say (bun scripts/generate-compat.ts)", () => {
  expect(readFileSync(`${repository}/docs/docker-compat.md`, "utf8")).toStartWith(compatDocument(docker, operations));
});

test("an operation has the id that Docker gives to its method and path", () => {
  const ids = new Map(docker.map(({ id, method, path }) => [`${method} ${path.replaceAll(/\{\w+\}/g, "{}")}`, id]));
  const others = operations.filter(({ id, method, path }) => ids.get(`${method} ${path.replaceAll(/\{[^}]+\}/g, "{}")}`) !== id);
  expect(others.map(({ id }) => id)).toEqual([]);
});

test("what is not served is not called done", () => {
  const silent = operations.filter(({ answers, differs }) => 501 in answers && differs === undefined);
  expect(silent.map(({ id }) => id)).toEqual([]);
});

test("done, differing, absent", () => {
  const common = { tag: "System", summary: "", needs: "read", method: "GET", answers: {}, run: () => json(200, {}) } as const;
  const text = compatDocument(parseDockerOperations("A\tGET\t/a/{id}\nB\tGET\t/b\nC\tGET\t/c\n"), [
    operation({ ...common, id: "A", path: "/a/{name...}" }),
    operation({ ...common, id: "B", path: "/b", differs: "smaller" }),
  ]);
  expect(text).toContain("Of 3 operations 1 are done, 1 differ and 1 are absent.");
  expect(text.split("\n").slice(-4)).toEqual([
    "| A | `GET /a/{id}` | done |  |",
    "| B | `GET /b` | differs | smaller |",
    "| C | `GET /c` | absent |  |",
    "",
  ]);
});
