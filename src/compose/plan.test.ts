import { describe, expect, test } from "bun:test";
import type { ContainerStatus } from "../api/control/types.ts";
import { serviceHash } from "./hash.ts";
import { label } from "./labels.ts";
import type { Observed, ObservedContainer } from "./observe.ts";
import { inOrder, type PlanOptions, planUp } from "./plan.ts";
import type { Project, Service } from "./project.ts";
import { networkSettings } from "./settings.ts";

const projectOf = (services: Record<string, Omit<Service, "name">>): Project => ({
  name: "p",
  working_dir: "/",
  files: [],
  profiles: [],
  environment: {},
  services: Object.fromEntries(Object.entries(services).map(([name, service]) => [name, { name, image: "i", ...service }])),
  disabled: {},
  networks: { default: { name: "p_default" } },
  volumes: {},
  configs: {},
  secrets: {},
  models: {},
  extensions: {},
});
const image = "sha256:1";
const all = (project: Project) => new Map(Object.keys(project.services).map((name) => [name, image]));

const container = (
  project: Project,
  service: string,
  number: number,
  more: Partial<ObservedContainer> = {},
): ObservedContainer => ({
  id: `${service}${number}`,
  name: `p-${service}-${number}`,
  service,
  number,
  oneoff: false,
  state: "running" as ContainerStatus,
  hash: project.services[service] ? serviceHash(project.services[service]) : "",
  imageId: image,
  networks: ["p_default"],
  replaces: false,
  summary: { labels: {} } as ObservedContainer["summary"],
  ...more,
});
const seen = (containers: ObservedContainer[], more: Partial<Observed> = {}): Observed => ({
  containers,
  networks: [],
  volumes: [],
  ...more,
});
const options: PlanOptions = { services: [], recreate: "diverged", recreateDependencies: "diverged" };
/** "web: create 1, keep 2" each. */
const steps = (project: Project, containers: ObservedContainer[], more: Partial<PlanOptions> = {}): string[] =>
  planUp(project, seen(containers), all(project), { ...options, ...more }).services.map(
    ({ service, steps }) =>
      `${service.name}: ${steps.map((step) => `${step.kind} ${step.kind === "remove" ? step.container.name : step.number}`).join(", ")}`,
  );

test("nothing there: all is created, what is depended on first", () => {
  const project = projectOf({ web: { depends_on: { db: { condition: "service_started", required: true } } }, db: { scale: 2 } });
  expect(steps(project, [])).toEqual(["db: create 1, create 2", "web: create 1"]);
});

test("all as it should be: nothing to do", () => {
  const project = projectOf({ web: {} });
  expect(steps(project, [container(project, "web", 1)])).toEqual(["web: keep 1"]);
});

describe("one container", () => {
  const project = projectOf({ web: {} });
  const cases: [string, Partial<ObservedContainer>, Partial<PlanOptions>, string][] = [
    ["another hash", { hash: "x" }, {}, "recreate 1"],
    ["another image", { imageId: "sha256:2" }, {}, "recreate 1"],
    ["not in its network", { networks: [] }, {}, "recreate 1"],
    ["dead", { state: "dead" }, { recreate: "never" }, "recreate 1"],
    ["stopped", { state: "exited" }, {}, "start 1"],
    ["another hash, never recreated", { hash: "x" }, { recreate: "never" }, "keep 1"],
    ["forced", {}, { recreate: "force" }, "recreate 1"],
    ["left with a temporary name", { replaces: true, name: "abc_p-web-1" }, {}, "adopt 1"],
  ];
  for (const [what, more, asked, wanted] of cases)
    test(what, () => expect(steps(project, [container(project, "web", 1, more)], asked)).toEqual([`web: ${wanted}`]));
});

test("fewer: those that are not as they should be go first, then the youngest", () => {
  const project = projectOf({ web: { scale: 1 } });
  const found = [container(project, "web", 1, { hash: "old" }), container(project, "web", 2), container(project, "web", 3)];
  expect(steps(project, found)).toEqual(["web: remove p-web-3, remove p-web-1, keep 2"]);
});

test("what an up that was killed has made beside the old one goes", () => {
  const project = projectOf({ web: {} });
  const half = container(project, "web", 1, { id: "new", name: "web1_p-web-1", replaces: true, state: "created" });
  expect(steps(project, [container(project, "web", 1, { hash: "old" }), half])).toEqual(["web: remove web1_p-web-1, recreate 1"]);
});

test("one that had taken over when up was killed stays, and the former one goes", () => {
  const project = projectOf({ web: {} });
  const second = container(project, "web", 1, { id: "new", name: "web1_p-web-1", replaces: true });
  const former = container(project, "web", 1, { hash: "old" });
  expect(steps(project, [former, second])).toEqual(["web: remove p-web-1, adopt 1"]);
  expect(steps(project, [former, { ...second, state: "created" }])).toEqual(["web: remove web1_p-web-1, recreate 1"]);
  // with ports it has taken over when it answers on them
  const published = projectOf({ web: { ports: [{ target: 80, protocol: "tcp", mode: "ingress" }] } });
  const silent = { ...second, hash: serviceHash(published.services.web!), summary: { labels: {}, ports: [] } as never };
  expect(steps(published, [former, silent])).toEqual(["web: remove web1_p-web-1, recreate 1"]);
});

test("dependents with restart: true are started again, those that share a namespace are made anew", () => {
  const project = projectOf({
    db: {},
    web: { depends_on: { db: { condition: "service_started", required: true, restart: true } } },
    side: { network_mode: "service:db" },
    far: { depends_on: { db: { condition: "service_started", required: true } } },
  });
  const found = ["web", "side", "far"].map((name) => container(project, name, 1));
  expect(steps(project, [container(project, "db", 1, { hash: "old" }), ...found])).toEqual([
    "db: recreate 1",
    "web: restart 1",
    "side: recreate 1",
    "far: keep 1",
  ]);
});

test("only what is asked for and what it depends on; its dependencies by their own rule", () => {
  const project = projectOf({ db: {}, web: { depends_on: { db: { condition: "service_started", required: true } } }, other: {} });
  expect(steps(project, [container(project, "db", 1)], { services: ["web"], recreate: "force" })).toEqual([
    "db: keep 1",
    "web: create 1",
  ]);
  expect(steps(project, [], { services: ["web"], withoutDependencies: true })).toEqual(["web: create 1"]);
});

test("a circle is told", () => {
  const on = (name: string) => ({ depends_on: { [name]: { condition: "service_started" as const, required: true } } });
  expect(() => inOrder(projectOf({ a: on("b"), b: on("a") }), ["a", "b"])).toThrow("in a circle: a -> b -> a");
});

test("one name for several containers is refused", () => {
  expect(() => steps(projectOf({ web: { container_name: "w", scale: 2 } }), [])).toThrow("there can be but one of that name");
});

describe("networks", () => {
  const project = projectOf({ web: {} });
  const own = { [label.project]: "p", [label.settings]: networkSettings(project.networks.default!) };
  const plan = (labels: Record<string, string>, of = project) =>
    planUp(
      of,
      seen([container(of, "web", 1)], { networks: [{ name: "p_default", labels } as unknown as Observed["networks"][number]] }),
      all(of),
      options,
    );
  test("as it was", () => expect(plan(own).networks).toMatchObject([{ kind: "keep" }]));
  test("with other settings: anew, with the containers in it", () => {
    const changed = plan({ ...own, [label.settings]: "x" });
    expect(changed.networks).toMatchObject([{ kind: "recreate" }]);
    expect(changed.services[0]!.steps[0]!.kind).toBe("recreate");
  });
  test("somebody else's: used, and told", () => {
    const foreign = plan({});
    expect(foreign.networks).toMatchObject([{ kind: "keep" }]);
    expect(foreign.warnings[0]).toContain("made without compose");
  });
  test("an external one that is not there is an error", () => {
    const external = { ...project, networks: { default: { name: "away", external: true } } };
    expect(() => plan({}, external)).toThrow("onggi network create away");
  });
});
