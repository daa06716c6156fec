import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { serviceHash } from "../hash.ts";
import type { Service } from "../project.ts";
import { loadProject } from "./index.ts";
import { memoryFiles } from "./memory-files.ts";
import { printedProject } from "./print.ts";

/** What docker compose 2.40.3 makes of the projects in facts/ (facts/record): the same is made of them here. */
const facts = new URL("facts/", import.meta.url).pathname;
const projects = readdirSync(facts).filter((name) => statSync(join(facts, name)).isDirectory());

function filesOf(project: string): Record<string, string> {
  const directory = join(facts, project);
  const names = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.replace(directory, "/mnt"), readFileSync(path, "utf8")];
    }),
  );
}

/** Docker's JSON has dollar signs doubled, and leaves out what is not in the engine's API. */
const comparable = (value: unknown): unknown => JSON.parse(JSON.stringify(value).replaceAll("$$", "$"));

/** Its hash is of the containers that it refers to. */
const refers = ({ network_mode, volumes_from }: Service): boolean =>
  network_mode?.startsWith("service:") === true || volumes_from !== undefined;

test.each(projects)("%s", async (project) => {
  const files = filesOf(project);
  const loaded = await loadProject({
    cwd: "/mnt",
    environment: { HOME: "/home/me", CALLERS: "callers", PASSWORD: "pw" },
    files: ["compose.yaml", "two.yaml", "three.yaml"].filter((name) => `/mnt/${name}` in files),
    profiles: ["*"],
    source: memoryFiles(files),
  });
  const printed = printedProject(loaded, "docker");
  expect(comparable(printed)).toEqual(comparable(JSON.parse(files["/mnt/docker.json"]!)));
  const whole = Object.values(loaded.services).filter((service) => !refers(service));
  const hashes = new Map(files["/mnt/docker.hash"]!.split("\n").map((line) => line.split(" ") as [string, string]));
  expect(whole.map((service) => [service.name, serviceHash(service)])).toEqual(
    whole.map(({ name }) => [name, hashes.get(name)!]),
  );
});
