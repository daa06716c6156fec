/** What is told of images and containers, and names by digest. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { CommandLine } from "../kit/command.ts";
import { askDocker, dockerClients } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";

const client = dockerClients().at(-1);
let engine: Engine;
let registry: Registry;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  registry = await Registry.start();
}, 120_000);
afterAll(async () => {
  await registry.close();
  await engine.close();
}, 120_000);

interface Event {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Record<string, string> };
}

/** Events since a moment that the filters let through. */
async function events(since: number, filters: Record<string, string[]>): Promise<Event[]> {
  const query = new URLSearchParams({ since: String(since), until: String(Date.now() / 1000), filters: JSON.stringify(filters) });
  const answer = await fetch(`http://docker/events?${query}`, { unix: `${engine.run}/docker.sock` });
  return (await answer.text())
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
const shown = ({ Action, Actor }: Event): [string, string, string | undefined] => [Action, Actor.ID, Actor.Attributes.name];

test("a container has its image's labels: in lists, in events, for filters", async () => {
  const since = Date.now() / 1000;
  await engine.ok(["create", "--name", "base", "busybox"]);
  await engine.ok(["commit", "-c", "LABEL color=red size=big", "base", "labelled"]);
  await engine.ok(["create", "--name", "one", "--label", "size=small", "labelled"]);
  expect(await engine.ok(["ps", "-a", "--filter", "label=color=red", "--format", "{{.Names}} {{.Labels}}"])).toBe(
    "one color=red,size=small",
  );
  const found = await events(since, { type: ["container"], event: ["create"], label: ["color=red", "size=small"] });
  expect(found.map(({ Actor }) => Actor.Attributes)).toEqual([{ color: "red", size: "small", image: "labelled", name: "one" }]);
  expect(await events(since, { type: ["container"], label: ["color=red", "size=big"] })).toEqual([]);
  expect((await events(since, { event: ["create"], image: ["labelled"] })).length).toBe(1);
  expect(await events(since, { event: ["create"], image: ["one"] })).toEqual([]);
  await engine.ok(["rm", "one", "base"]);
});

test("events of an image are of its id, with its labels and the name", async () => {
  const since = Date.now() / 1000;
  const id = await engine.ok(["inspect", "-f", "{{.Id}}", "labelled"]);
  await engine.ok(["tag", "labelled", "other:1"]);
  await askDocker(engine, "POST", "/images/labelled/tag?repo=third");
  await engine.ok(["rmi", "other:1"]);
  const found = await events(since, { type: ["image"], label: ["color=red"] });
  expect(found.map(shown)).toEqual([
    ["tag", id, "other:1"],
    ["tag", id, "third:latest"],
    ["untag", id, "other:1"],
  ]);
  expect((await events(since, { type: ["image"], image: ["third"] })).map(shown)).toEqual([["tag", id, "third:latest"]]);
});

test.skipIf(client === undefined)("rmi of a name by digest removes that name alone; the last one takes the image", async () => {
  const docker = new CommandLine([client!], {
    env: { DOCKER_HOST: `unix://${engine.run}/docker.sock`, DOCKER_CONFIG: `${engine.base}/docker-config` },
  });
  const name = `${registry.domain}/app:1`;
  await engine.ok(["tag", "labelled", name]);
  await docker.ok(["push", "-q", name]);
  const since = Date.now() / 1000;
  await docker.ok(["rmi", name]);
  await docker.ok(["pull", "-q", name]);
  const id = await docker.ok(["inspect", "-f", "{{.Id}}", name]);
  const [byDigest] = JSON.parse(await docker.ok(["inspect", "-f", "{{json .RepoDigests}}", name])) as string[];
  expect(await docker.ok(["rmi", byDigest!])).toBe(`Untagged: ${byDigest}`);
  expect(await docker.ok(["inspect", "-f", "{{json .RepoTags}} {{json .RepoDigests}}", name])).toContain(`${name}"`);
  expect((await docker.run(["inspect", byDigest!])).code).toBe(1);
  await docker.ok(["rmi", name, "labelled", "third"]);
  await docker.ok(["pull", "-q", byDigest!]);
  expect(await docker.ok(["rmi", byDigest!])).toMatch(new RegExp(`^Untagged: ${byDigest}\nDeleted: ${id}`));
  const transfers = (await events(since, { type: ["image"], event: ["pull"] })).map(shown);
  expect(transfers).toEqual([
    ["pull", name, `${registry.domain}/app`],
    ["pull", byDigest!, `${registry.domain}/app`],
  ]);
});

test("info says what this host can limit", async () => {
  const { value } = await askDocker<Record<string, unknown>>(engine, "GET", "/info");
  expect(value).toMatchObject({ MemoryLimit: true, PidsLimit: true, CPUShares: true });
  const forwarding = (await Bun.file("/proc/sys/net/ipv4/ip_forward").text()).trim() === "1";
  expect(value.IPv4Forwarding).toBe(forwarding);
});
