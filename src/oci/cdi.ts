/**
 * The Container Device Interface: names of devices, and the files that say what a container gets with one (CDI specification
 * 1.1.0, SPEC.md). Pure; a file's members are named as there.
 */
import {
  absolutePath,
  check,
  choice,
  flag,
  InvalidSpec,
  list,
  map,
  nonEmpty,
  object,
  type Shape,
  show,
  text,
  whole,
} from "./schema.ts";
import type { Hook, Hooks, IntelRdt } from "./spec.ts";

export interface CdiDeviceNode {
  /** In the container. */
  path: string;
  /** Absent: `path`. */
  hostPath?: string;
  type?: "b" | "c" | "u" | "p";
  major?: number;
  minor?: number;
  fileMode?: number;
  /** Any of r, w, m; "none". */
  permissions?: string;
  uid?: number;
  gid?: number;
}

export interface CdiMount {
  hostPath: string;
  containerPath: string;
  type?: string;
  options?: string[];
}

export interface CdiEdits {
  env?: string[];
  deviceNodes?: CdiDeviceNode[];
  netDevices?: { hostInterfaceName: string; name: string }[];
  mounts?: CdiMount[];
  hooks?: (Hook & { hookName: keyof Hooks })[];
  additionalGids?: number[];
  intelRdt?: IntelRdt;
}

export interface CdiSpec {
  cdiVersion: string;
  /** "vendor.com/class". */
  kind: string;
  annotations?: Record<string, string>;
  devices: { name: string; annotations?: Record<string, string>; containerEdits: CdiEdits }[];
  /** Of whoever has any of its devices, once. */
  containerEdits?: CdiEdits;
}

const matching = (pattern: RegExp, words: string): Shape =>
  text((value) => (pattern.test(value) ? null : `want ${words}, got ${show(value)}`));

const VENDOR = "[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?";
const CLASS = VENDOR;
const NAME = "[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?";
const qualified = new RegExp(`^${VENDOR}/${CLASS}=${NAME}$`);

/** Whether it names a device of CDI: "vendor.com/class=name". */
export const isCdiName = (name: string): boolean => qualified.test(name);

const id = whole(0, 2 ** 32 - 1);
const number = whole(0, 2 ** 31 - 1);
const environment = list(matching(/^[^=]+=/, "NAME=VALUE"));
const hookNames = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] as const;

const edits = object(
  {},
  {
    env: environment,
    deviceNodes: list(
      object(
        { path: absolutePath },
        {
          hostPath: absolutePath,
          type: choice("b", "c", "u", "p"),
          major: number,
          minor: number,
          fileMode: id,
          permissions: matching(/^(?:[rwm]+|none)$/, 'letters of "rwm", or "none"'),
          uid: id,
          gid: id,
        },
      ),
    ),
    netDevices: list(object({ hostInterfaceName: nonEmpty, name: nonEmpty })),
    mounts: list(object({ hostPath: nonEmpty, containerPath: absolutePath }, { type: text(), options: list(text()) })),
    hooks: list(
      object(
        { hookName: choice(...hookNames), path: absolutePath },
        { args: list(text()), env: environment, timeout: whole(1, 2 ** 31 - 1) },
      ),
    ),
    additionalGids: list(id),
    intelRdt: object(
      {},
      {
        closID: matching(/^(?!\.{1,2}$)[^/\n]{1,4095}$/, "a name of a directory"),
        l3CacheSchema: text(),
        memBwSchema: text(),
        schemata: list(text()),
        enableCMT: flag,
        enableMBM: flag,
        enableMonitoring: flag,
      },
    ),
  },
);

const spec = object(
  {
    cdiVersion: text(),
    kind: matching(new RegExp(`^${VENDOR}/${CLASS}$`), '"vendor.com/class"'),
    devices: list(
      object(
        { name: matching(new RegExp(`^${NAME}$`), "a name of letters, digits and _ - . :"), containerEdits: edits },
        { annotations: map(text()) },
      ),
      1,
    ),
  },
  { annotations: map(text()), containerEdits: edits },
);

const versions = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"] as const;

/**
 * What a file says. Members are found whatever their case, as other readers do; one that the specification does not know is refused.
 * `plain`: the scalars are all text, as of a YAML file without a schema. Throws InvalidSpec, whatever the value is.
 */
export function readCdiSpec(value: unknown, plain = false): CdiSpec {
  const known = canonical(value, spec, "", plain);
  check(known, spec, "");
  const found = known as CdiSpec;
  const names = new Set<string>();
  for (const [index, { name, containerEdits }] of found.devices.entries()) {
    const where = `devices[${index}]`;
    if (names.has(name)) throw new InvalidSpec(`${where}.name`, `${show(name)} is there twice`);
    names.add(name);
    if (Object.keys(containerEdits).length === 0) throw new InvalidSpec(`${where}.containerEdits`, "says nothing");
  }
  checkVersion(found);
  return found;
}

/** A copy with the members' own names, and without those that are null. */
function canonical(value: unknown, shape: Shape, path: string, plain: boolean): unknown {
  if (shape.kind === "list" && Array.isArray(value))
    return value.map((item, index) => canonical(item, shape.of, `${path}[${index}]`, plain));
  if (shape.kind === "object" && typeof value === "object" && value !== null && !Array.isArray(value))
    return members(value, shape, path, plain);
  return plain && typeof value === "string" ? scalar(value, shape) : value;
}

function members(value: object, shape: Extract<Shape, { kind: "object" }>, path: string, plain: boolean): object {
  const shapes = new Map(Object.entries({ ...shape.required, ...shape.optional }));
  const byLowerCase = new Map([...shapes.keys()].map((name) => [name.toLowerCase(), name]));
  const found: [string, unknown][] = [];
  for (const [key, member] of Object.entries(value)) {
    const name = shapes.has(key) ? key : byLowerCase.get(key.toLowerCase());
    if (name === undefined) throw new InvalidSpec(path, `has no member ${show(key)}; there are ${[...shapes.keys()].join(", ")}`);
    const of = shapes.get(name)!;
    const absent =
      member === null || (plain && of.kind !== "string" && typeof member === "string" && /^(?:|~|null)$/.test(member));
    const where = path === "" ? name : `${path}.${name}`;
    if (!absent) found.push([name, canonical(member, of, where, plain)]);
  }
  return Object.fromEntries(found);
}

/** A number as Go's readers of YAML have it, octal with a leading 0 too. */
function scalar(value: string, shape: Shape): unknown {
  if (shape.kind === "boolean") return value === "true" ? true : value === "false" ? false : value;
  if (shape.kind !== "number" || !/^(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/.test(value)) return value;
  return Number(/^0[0-7]/.test(value) ? `0o${value.slice(1)}` : value.toLowerCase());
}

/** A version that is there, and that knows what the file uses. */
function checkVersion(spec: CdiSpec): void {
  const version = versions.indexOf(spec.cdiVersion.replace(/^v/, "") as (typeof versions)[number]);
  if (version < 0) throw new InvalidSpec("cdiVersion", `want one of ${versions.join(", ")}, got ${show(spec.cdiVersion)}`);
  for (const [needed, what] of neededBy(spec)) {
    if (versions.indexOf(needed) > version)
      throw new InvalidSpec("cdiVersion", `must be at least ${needed} for ${what}, is ${spec.cdiVersion}`);
  }
}

function* neededBy(spec: CdiSpec): Generator<[(typeof versions)[number], string]> {
  if (spec.annotations) yield ["0.6.0", "annotations"];
  if (spec.kind.split("/")[1]?.includes(".")) yield ["0.6.0", "a class with a dot"];
  yield* neededByEdits(spec.containerEdits ?? {});
  for (const { name, annotations, containerEdits } of spec.devices) {
    if (annotations) yield ["0.6.0", "annotations"];
    if (/^[0-9]/.test(name)) yield ["0.5.0", "a device's name that begins with a digit"];
    yield* neededByEdits(containerEdits);
  }
}

function* neededByEdits(edits: CdiEdits): Generator<[(typeof versions)[number], string]> {
  const { intelRdt } = edits;
  if (edits.netDevices) yield ["1.1.0", "netDevices"];
  if (intelRdt?.schemata || intelRdt?.enableMonitoring !== undefined)
    yield ["1.1.0", "intelRdt.schemata and intelRdt.enableMonitoring"];
  if (intelRdt) yield ["0.7.0", "intelRdt"];
  if (edits.additionalGids) yield ["0.7.0", "additionalGids"];
  if (edits.deviceNodes?.some(({ hostPath }) => hostPath !== undefined)) yield ["0.5.0", "deviceNodes.hostPath"];
  if (edits.mounts?.some(({ type }) => type !== undefined)) yield ["0.4.0", "mounts.type"];
}

/** A file that was read; of two directories the one that was named later comes first. */
export interface CdiFile {
  readonly path: string;
  readonly priority: number;
  readonly spec: CdiSpec;
}

/** What one name stands for: its file, and the edits of that device alone. */
export interface CdiDevice {
  readonly file: CdiFile;
  readonly edits: CdiEdits;
}

export interface CdiCatalogue {
  /** By qualified name. */
  readonly devices: ReadonlyMap<string, CdiDevice>;
  /** Names that two files of one directory give; neither counts. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>;
}

/** Of several files that give a name, the one of the highest priority counts. */
export function catalogue(files: readonly CdiFile[]): CdiCatalogue {
  const given = new Map<string, CdiDevice[]>();
  for (const file of files) {
    for (const { name, containerEdits } of file.spec.devices) {
      const qualifiedName = `${file.spec.kind}=${name}`;
      const others = given.get(qualifiedName) ?? [];
      const highest = others[0]?.file.priority ?? Number.NEGATIVE_INFINITY;
      if (file.priority < highest) continue;
      const device = { file, edits: containerEdits };
      given.set(qualifiedName, file.priority > highest ? [device] : [...others, device]);
    }
  }
  const all = [...given].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    devices: new Map(all.flatMap(([name, [device, ...others]]) => (device && others.length === 0 ? [[name, device]] : []))),
    conflicts: new Map(
      all.flatMap(([name, several]) => (several.length > 1 ? [[name, several.map(({ file }) => file.path)]] : [])),
    ),
  };
}

/** Edits, and the file that has them. */
export interface CdiSource {
  readonly path: string;
  readonly edits: CdiEdits;
}

/** The edits of these devices in their order, before those of a file's first one what the file gives all of them. */
export function editsOf(devices: readonly CdiDevice[]): CdiSource[] {
  const seen = new Set<CdiFile>();
  return devices.flatMap(({ file, edits }) => {
    const all = seen.has(file) ? undefined : file.spec.containerEdits;
    seen.add(file);
    return [...(all ? [all] : []), edits].map((each) => ({ path: file.path, edits: each }));
  });
}
