import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { nowNs, parseRfc3339 } from "../lib/time.ts";
import { humanDuration } from "../lib/units.ts";
import type { Container } from "./container.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { pattern } from "./filters.ts";
import { imageConfig } from "./inspect.ts";
import { endpointsOf, networkNames, publishedBy } from "./networking.ts";
import { isActive } from "./state.ts";
import type { ContainerStatus, ContainerSummary } from "./types.ts";

/** Attributes of a container's events, as Docker gives them: its labels, image and name. */
export const describe = (record: ContainerRecord): Record<string, string> => ({
  ...record.request.labels,
  image: record.request.image,
  name: record.name,
});

const secondsSince = (moment: string): number => Number(nowNs() - (parseRfc3339(moment) ?? 0n)) / 1e9;

const healthText = ({ health }: ContainerRecord): string =>
  health === undefined ? "" : ` (${health.status === "starting" ? "health: starting" : health.status})`;

/** "Up 3 seconds (Paused)", "Exited (0) 2 minutes ago". */
export function statusText(record: ContainerRecord): string {
  const { state } = record;
  const texts: Record<ContainerStatus, () => string> = {
    created: () => "Created",
    running: () => `Up ${humanDuration(secondsSince(state.startedAt))}${healthText(record)}`,
    paused: () => `Up ${humanDuration(secondsSince(state.startedAt))} (Paused)`,
    restarting: () => `Restarting (${state.exitCode}) ${humanDuration(secondsSince(state.finishedAt))} ago`,
    exited: () => `Exited (${state.exitCode}) ${humanDuration(secondsSince(state.finishedAt))} ago`,
    removing: () => "Removal In Progress",
    dead: () => "Dead",
  };
  return texts[state.status]();
}

/** As Docker writes it in lists: words with a space in them in quotes, the program as it is. */
export const commandText = ([program = "", ...args]: readonly string[]): string =>
  [program, ...args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg))].join(" ");

const summary = (context: Context, record: ContainerRecord): ContainerSummary => ({
  id: record.id,
  names: [record.name],
  image: record.request.image,
  imageId: record.imageId,
  command: commandText(record.args),
  created: Math.floor(Number(BigInt(record.createdNs) / 1_000_000_000n)),
  state: record.state.status,
  status: statusText(record),
  labels: record.request.labels ?? {},
  networks: networkNames(context, record),
  ports: [...publishedBy(context, record)],
  ...(record.state.status === "running" ? { exposed: unpublishedBy(context, record) } : {}),
  mounts: (record.mounts ?? [])
    .filter(({ type }) => type !== "tmpfs")
    .map(({ type, name, source }) => ({ volume: type === "volume", name: name ?? source })),
});

type Test = (record: ContainerRecord) => boolean;

const matchesLabel = (record: ContainerRecord, wanted: string): boolean => {
  const [key = "", value] = wanted.split(/=(.*)/s);
  const actual = record.request.labels?.[key];
  return actual !== undefined && (value === undefined || actual === value);
};

const statuses: readonly ContainerStatus[] = ["created", "running", "paused", "restarting", "exited", "removing", "dead"];

function statusTest(value: string): Test {
  if (!(statuses as readonly string[]).includes(value)) {
    throw new OnggiError("invalid_filter", `no such status: ${value}; one of ${statuses.join(", ")}`);
  }
  return (record) => record.state.status === value;
}

const healths = ["starting", "healthy", "unhealthy", "none"];

function healthTest(value: string): Test {
  if (!healths.includes(value)) throw new OnggiError("invalid_filter", `no such health: ${value}; one of ${healths.join(", ")}`);
  return ({ health }) => (health?.status ?? "none") === value;
}

function exitedTest(value: string): Test {
  if (!/^-?\d+$/.test(value)) throw new OnggiError("invalid_filter", `exited=${value}: not an exit code`);
  return (record) => record.state.status === "exited" && record.state.exitCode === Number(value);
}

/** "80", "80/udp", "8000-8010/tcp"; without a protocol it is TCP. */
function portTest(value: string): (port: number, protocol: string) => boolean {
  const [, from, to = from, protocol = "tcp"] = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/.exec(value) ?? [];
  if (from === undefined) throw new OnggiError("invalid_filter", `${value}: neither a port nor a range of ports`);
  return (port, of) => of === protocol && port >= Number(from) && port <= Number(to);
}

/** Ports that it says it serves: its own and its image's. */
function servedBy(context: Context, { request, imageId }: ContainerRecord): string[] {
  return [...(request.expose ?? []), ...Object.keys(imageConfig(context, imageId)?.ExposedPorts ?? {})];
}

const publishedNames = (context: Context, record: ContainerRecord): string[] =>
  publishedBy(context, record).map(({ containerPort, protocol }) => `${containerPort}/${protocol}`);

function unpublishedBy(context: Context, record: ContainerRecord): string[] {
  const published = new Set(publishedNames(context, record));
  return [...new Set(servedBy(context, record))].filter((port) => !published.has(port));
}

const exposedBy = (context: Context, record: ContainerRecord): string[] => [
  ...servedBy(context, record),
  ...publishedNames(context, record),
];

/** Each filter key: from its value to a test. Values of one key are alternatives, keys add up; labels add up too. */
const filters: Record<string, (context: Context, value: string) => Test> = {
  id: (_, value) => (record) => record.id.startsWith(value),
  name: (_, value) => {
    const wanted = pattern(value);
    return (record) => wanted.test(record.name) || wanted.test(`/${record.name}`);
  },
  label: (_, value) => (record) => matchesLabel(record, value),
  status: (_, value) => statusTest(value),
  health: (_, value) => healthTest(value),
  exited: (_, value) => exitedTest(value),
  ancestor: (context, value) => {
    const named = context.images.list().filter(({ names }) => names.includes(value) || names.includes(`${value}:latest`));
    const ids = new Set(named.map(({ id }) => id));
    return ({ request, imageId }) => request.image === value || ids.has(imageId) || imageId.startsWith(value);
  },
  before: (context, value) => {
    const { createdNs } = findContainer(context, value).record;
    return (record) => BigInt(record.createdNs) < BigInt(createdNs);
  },
  since: (context, value) => {
    const { createdNs } = findContainer(context, value).record;
    return (record) => BigInt(record.createdNs) > BigInt(createdNs);
  },
  volume: (_, value) => (record) =>
    (record.mounts ?? []).some(({ name, source, destination }) => [name, source, destination].includes(value)),
  publish: (context, value) => {
    const isMeant = portTest(value);
    return (record) => context.networks.publishedBy(record.id).some(({ hostPort, protocol }) => isMeant(hostPort, protocol));
  },
  expose: (context, value) => {
    const isMeant = portTest(value);
    return (record) =>
      exposedBy(context, record).some((port) => {
        const [number, protocol = "tcp"] = port.split("/");
        return isMeant(Number(number), protocol);
      });
  },
  // there are no others here
  "is-task": (_, value) => () => /^(false|0)$/i.test(value),
  network: (context, value) => (record) =>
    networkNames(context, record).includes(value) ||
    endpointsOf(context, record).some(({ network }) => network.startsWith(value)),
};

function filterTest(context: Context, wanted: Record<string, string[]>): Test {
  const tests = Object.entries(wanted).map(([key, values]): Test => {
    const make = lookUp(filters, key);
    if (!make) throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(filters).join(", ")}`);
    const alternatives = values.map((value) => make(context, value));
    return key === "label"
      ? (record) => alternatives.every((test) => test(record))
      : (record) => alternatives.some((test) => test(record));
  });
  return (record) => tests.every((test) => test(record));
}

export interface ListQuery {
  readonly all?: boolean | undefined;
  readonly filters?: Record<string, string[]> | undefined;
  /** The last `limit` created, whatever their state. */
  readonly limit?: number | undefined;
}

const newestFirst = (a: Container, b: Container): number => (BigInt(b.record.createdNs) > BigInt(a.record.createdNs) ? 1 : -1);

/** Containers, newest first: the running ones, those that restart too, or all with `all`, a status filter or a limit. */
export function listContainers(context: Context, query: ListQuery): ContainerSummary[] {
  const wanted = query.filters ?? {};
  const all = query.all || query.limit !== undefined || "status" in wanted || "exited" in wanted;
  const test = filterTest(context, wanted);
  return [...context.containers.values()]
    .filter(({ record }) => (all || isActive(record.state.status)) && test(record))
    .sort(newestFirst)
    .slice(0, query.limit && query.limit > 0 ? query.limit : undefined)
    .map(({ record }) => summary(context, record));
}
