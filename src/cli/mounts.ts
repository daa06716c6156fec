import type { MountRequest } from "../api/control/types.ts";
import { absolute, parseBind, propagations } from "../api/shapes/bind.ts";
import { messageOf } from "../lib/errors.ts";
import { parseBytes } from "../lib/units.ts";
import { UsageError } from "./errors.ts";

/** What `-v`, `--mount` and `--tmpfs` ask for, in Docker's words. */

/** What `-v` asks for; see parseBind. Throws UsageError. */
export function parseVolume(spec: string, cwd: string): MountRequest {
  try {
    return parseBind(spec, cwd);
  } catch (error) {
    throw new UsageError(`-v ${messageOf(error)}`);
  }
}

/** One --mount while its fields are read. */
interface Draft {
  readonly spec: string;
  readonly cwd: string;
  readonly mount: MountRequest;
  readonly options: string[];
  /** Of bind-recursive. */
  recursive?: string;
}

type Field = (draft: Draft, value: string | undefined, key: string) => void;

const fail = ({ spec }: Draft, why: string): never => {
  throw new UsageError(`--mount ${spec}: ${why}`);
};

const needed = (draft: Draft, value: string | undefined, key: string): string => value || fail(draft, `${key} needs a value`);

const on: (draft: Draft, value: string | undefined, key: string) => boolean = (draft, value, key) => {
  if (value === undefined || /^(1|true)$/i.test(value)) return true;
  return /^(0|false)$/i.test(value) ? false : fail(draft, `${key} is true or false, not "${value}"`);
};

const pair = (draft: Draft, value: string | undefined, key: string): [string, string] => {
  const [name = "", text = ""] = needed(draft, value, key).split(/=(.*)/s);
  return [name, text];
};

const source: Field = (draft, value, key) => {
  const { mount, cwd } = draft;
  if (mount.type === "tmpfs") fail(draft, "a tmpfs has no source");
  if (mount.type === "volume" && value?.includes("/"))
    fail(draft, `"${value}" is no name of a volume; type=bind binds a path of the host`);
  if (mount.type === "volume" && !value) return;
  const given = needed(draft, value, key);
  mount.source = mount.type === "bind" ? absolute(given, cwd) : given;
};
const target: Field = ({ mount }, value) => {
  mount.target = value ?? "";
};
const readonly: Field = (draft, value, key) => {
  draft.mount.readonly = on(draft, value, key);
};
const nothing: Field = () => {};

/** By key; "bind-...", "volume-...", "tmpfs-..." and "image-..." are for that type alone. */
const fields: Readonly<Record<string, Field>> = {
  type: nothing,
  consistency: nothing,
  source,
  src: source,
  target,
  dst: target,
  destination: target,
  readonly,
  ro: readonly,
  "bind-propagation": (draft, value = "") => {
    if (!propagations.includes(value)) fail(draft, `bind-propagation is one of ${propagations.join(", ")}`);
    draft.options.push(value);
  },
  "bind-nonrecursive": (draft, value, key) => {
    if (on(draft, value, key)) draft.recursive = "disabled";
  },
  "bind-recursive": (draft, value = "") => {
    const known = ["enabled", "disabled", "writable", "readonly"];
    if (!known.includes(value)) fail(draft, `bind-recursive is one of ${known.join(", ")}`);
    draft.recursive = value;
  },
  "bind-create-src": (draft, value, key) => {
    if (on(draft, value, key)) draft.mount.createSource = true;
  },
  "volume-nocopy": (draft, value, key) => {
    if (on(draft, value, key)) draft.mount.nocopy = true;
  },
  "volume-subpath": (draft, value, key) => {
    draft.mount.subpath = needed(draft, value, key);
  },
  "volume-driver": (draft, value, key) => {
    draft.mount.driver = needed(draft, value, key);
  },
  "volume-opt": (draft, value, key) => {
    const [name, text] = pair(draft, value, key);
    draft.mount.driverOptions = { ...draft.mount.driverOptions, [name]: text };
  },
  "volume-label": (draft, value, key) => {
    const [name, text] = pair(draft, value, key);
    draft.mount.labels = { ...draft.mount.labels, [name]: text };
  },
  "image-subpath": (draft, value, key) => {
    draft.mount.subpath = needed(draft, value, key);
  },
  "tmpfs-size": (draft, value = "") => {
    draft.options.push(`size=${parseBytes(value, "tmpfs-size")}`);
  },
  "tmpfs-mode": (draft, value = "") => {
    if (!/^[0-7]{1,4}$/.test(value)) fail(draft, "tmpfs-mode is an octal number, as in 1777");
    draft.options.push(`mode=${value}`);
  },
};

const types = ["bind", "volume", "tmpfs", "image"] as const;

/** "type=bind,source=/a,target=/b,readonly" and the like, comma-separated with quotes as in CSV. Throws UsageError. */
export function parseMount(spec: string, cwd: string): MountRequest {
  const given = splitCsv(spec).map((field) => field.split(/=(.*)/s) as [string, string | undefined]);
  const asked = given.find(([key]) => key.toLowerCase() === "type")?.[1] ?? "volume";
  const type = types.find((one) => one === asked);
  if (!type) throw new UsageError(`--mount ${spec}: type "${asked}" is not one of ${types.join(", ")}`);
  const draft: Draft = { spec, cwd, mount: { type, target: "" }, options: [] };
  for (const [name, value] of given) {
    const key = name.toLowerCase();
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (!field) fail(draft, `unknown field "${name}"`);
    const owner = types.find((one) => key.startsWith(`${one}-`));
    if (owner && owner !== type) fail(draft, `${key} is for type=${owner}`);
    field!(draft, value, key);
  }
  return finish(draft);
}

function finish(draft: Draft): MountRequest {
  const { mount, options, recursive } = draft;
  if (!mount.target.startsWith("/")) fail(draft, "needs target=PATH, a path that begins with /");
  if ((mount.type === "bind" || mount.type === "image") && !mount.source)
    fail(draft, `needs source=${mount.type === "bind" ? "PATH" : "IMAGE"}`);
  if (recursive === "disabled") options.push("bind");
  if ((recursive === "writable" || recursive === "readonly") && !mount.readonly)
    fail(draft, `bind-recursive=${recursive} needs readonly`);
  if (recursive === "readonly" && options.some((option) => propagations.includes(option) && option !== "rprivate")) {
    fail(draft, "bind-recursive=readonly needs bind-propagation=rprivate");
  }
  if (recursive === "writable") mount.readonlyBelow = "writable";
  if (options.length > 0) mount.options = options;
  return mount;
}

/** One line of CSV: fields may be quoted, quotes inside are doubled. */
export function splitCsv(line: string): string[] {
  const found: string[] = [];
  for (const [, quoted, plain = ""] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    found.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
  }
  return found;
}

/** "PATH[:OPTIONS]" of --tmpfs. Throws UsageError. */
export function parseTmpfs(spec: string): [path: string, options: string] {
  const [path = "", options = ""] = spec.split(/:(.*)/s);
  if (!path.startsWith("/")) throw new UsageError(`--tmpfs ${spec}: the path must begin with /`);
  return [path, options];
}
