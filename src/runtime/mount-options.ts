/**
 * The mount options of the runtime specification (config.md, "Linux mount options"), of mount(8), and those that crun has
 * beside them ("copy-symlink", "src-nofollow", "dest-nofollow", "rsync" and its like), decoded.
 */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { MOUNT_ATTR, MS } from "../sys/constants.ts";

/** Attributes to set and to clear, as mount_setattr(2) takes them. */
export interface Attributes {
  readonly set: number;
  readonly clear: number;
}

export interface MountOptions {
  readonly bind: boolean;
  /** A bind mount takes the mounts below its source along. */
  readonly recursive: boolean;
  /** Of this mount alone. */
  readonly attributes: Attributes;
  /** Of this mount and every mount below it. */
  readonly recursiveAttributes: Attributes;
  /** Options of the super block, for fsconfig(2): "sync", "dirsync", "mand", "lazytime" and their opposites. */
  readonly superFlags: readonly string[];
  /** Options of the file system, for fsconfig(2): a name, or a name and a value. */
  readonly data: readonly (readonly [key: string, value?: string])[];
  /** MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, each perhaps with MS_REC, in order. */
  readonly propagation: readonly number[];
  /** Show the files of the mount with the ids of the user namespace. */
  readonly idmap: false | "mount" | "tree";
  /** A tmpfs starts with what the image has at that place. */
  readonly copyUp: boolean;
  /** Nothing is mounted: the mount that is at the place gets these attributes. */
  readonly remount: boolean;
  /** A source that is a symbolic link is made anew at the place instead of being mounted. */
  readonly copySymlink: boolean;
  /** A source that is a symbolic link is itself what is mounted. */
  readonly sourceNoFollow: boolean;
  /** A place that is a symbolic link is itself mounted over. */
  readonly placeNoFollow: boolean;
}

type Switch = "copyUp" | "remount" | "copySymlink" | "sourceNoFollow" | "placeNoFollow";
const switches: Readonly<Record<string, Switch>> = {
  tmpcopyup: "copyUp",
  remount: "remount",
  "copy-symlink": "copySymlink",
  "src-nofollow": "sourceNoFollow",
  "dest-nofollow": "placeNoFollow",
};

const { MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSYMFOLLOW } = MOUNT_ATTR;
const { MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_NODIRATIME } = MOUNT_ATTR;

const on = (set: number, clear = 0): Attributes => ({ set, clear });
const off = (clear: number): Attributes => ({ set: 0, clear });

/** Each also exists with an "r" before it, for the whole tree. */
const attributeOptions: Readonly<Record<string, Attributes>> = {
  ro: on(MOUNT_ATTR_RDONLY),
  rw: off(MOUNT_ATTR_RDONLY),
  nosuid: on(MOUNT_ATTR_NOSUID),
  suid: off(MOUNT_ATTR_NOSUID),
  nodev: on(MOUNT_ATTR_NODEV),
  dev: off(MOUNT_ATTR_NODEV),
  noexec: on(MOUNT_ATTR_NOEXEC),
  exec: off(MOUNT_ATTR_NOEXEC),
  nosymfollow: on(MOUNT_ATTR_NOSYMFOLLOW),
  symfollow: off(MOUNT_ATTR_NOSYMFOLLOW),
  nodiratime: on(MOUNT_ATTR_NODIRATIME),
  diratime: off(MOUNT_ATTR_NODIRATIME),
  // the access time modes share one field, which mount_setattr wants cleared as a whole before another is set
  noatime: on(MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
  atime: off(MOUNT_ATTR__ATIME),
  relatime: off(MOUNT_ATTR__ATIME),
  norelatime: on(MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
  strictatime: on(MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
  nostrictatime: off(MOUNT_ATTR__ATIME),
};

const superOptions: Readonly<Record<string, string>> = {
  sync: "sync",
  async: "async",
  dirsync: "dirsync",
  mand: "mand",
  nomand: "nomand",
  lazytime: "lazytime",
  nolazytime: "nolazytime",
  // a super block is one for all its mounts
  rsync: "sync",
  rasync: "async",
  rdirsync: "dirsync",
  rmand: "mand",
  rnomand: "nomand",
};

const propagationOptions: Readonly<Record<string, number>> = {
  shared: MS.MS_SHARED,
  rshared: MS.MS_SHARED | MS.MS_REC,
  slave: MS.MS_SLAVE,
  rslave: MS.MS_SLAVE | MS.MS_REC,
  private: MS.MS_PRIVATE,
  rprivate: MS.MS_PRIVATE | MS.MS_REC,
  unbindable: MS.MS_UNBINDABLE,
  runbindable: MS.MS_UNBINDABLE | MS.MS_REC,
};

const combine = (a: Attributes, b: Attributes): Attributes => ({
  set: (a.set & ~b.clear) | b.set,
  clear: (a.clear & ~b.set) | b.clear,
});

/** Nothing to do for the kernel: other programs' notes in fstab style, and what is the case anyway. */
const ignored = new Set(["defaults", "silent", "loud", "iversion", "noiversion", "nofail", "auto", "noauto", "_netdev"]);

/**
 * Decodes a mount's options; a later one wins over an earlier one. An option that is none of the table's is passed to the
 * file system, so a wrong one fails there, with the kernel's own errno. A bind mount has no file system of its own: what is
 * a value ("mode=755", "size=1m") is left out, as older versions of runc and the kernel do; a mere word, which may be a
 * misspelt "ro", is an OnggiError `invalid_mount_option`.
 */
export function parseMountOptions(options: readonly string[], type: string | undefined): MountOptions {
  let attributes = on(0);
  let recursiveAttributes = on(0);
  let bind = type === "bind" || type === "rbind";
  let recursive = type === "rbind";
  let idmap: MountOptions["idmap"] = false;
  const flags = { copyUp: false, remount: false, copySymlink: false, sourceNoFollow: false, placeNoFollow: false };
  const superFlags: string[] = [];
  const data: [string, string?][] = [];
  const propagation: number[] = [];
  for (const option of options) {
    const plain = lookUp(attributeOptions, option);
    const superOption = lookUp(superOptions, option);
    const kind = lookUp(propagationOptions, option);
    const name = lookUp(switches, option);
    // "rro" and "rnoatime", but "ro" and "relatime" are names of their own
    const deep = option.startsWith("r") && !plain ? lookUp(attributeOptions, option.slice(1)) : undefined;
    if (plain) attributes = combine(attributes, plain);
    else if (deep) recursiveAttributes = combine(recursiveAttributes, deep);
    else if (superOption !== undefined) superFlags.push(superOption);
    else if (kind !== undefined) propagation.push(kind);
    else if (name !== undefined) flags[name] = true;
    else if (option === "bind") bind = true;
    else if (option === "rbind") bind = recursive = true;
    else if (option === "idmap") idmap = "mount";
    else if (option === "ridmap") idmap = "tree";
    else if (option !== "" && !ignored.has(option)) data.push(splitOption(option));
  }
  const parsed: MountOptions = {
    bind,
    recursive,
    attributes,
    recursiveAttributes,
    superFlags,
    data,
    propagation,
    idmap,
    ...flags,
  };
  refuseContradictions(parsed);
  return bind ? { ...parsed, data: [] } : parsed;
}

/** No option at all. */
export const noMountOptions: MountOptions = Object.freeze(parseMountOptions([], undefined));

function refuseContradictions(options: MountOptions): void {
  const { bind, data, idmap, remount, copyUp, copySymlink, sourceNoFollow, placeNoFollow, superFlags } = options;
  const refuse = (option: string, why: string) => {
    throw new OnggiError("invalid_mount_option", `mount option ${JSON.stringify(option)}: ${why}`);
  };
  const word = data.find(([, value]) => value === undefined)?.[0];
  if (bind && word !== undefined) refuse(word, "not an option of a bind mount");
  if (idmap && !bind) refuse(idmap === "tree" ? "ridmap" : "idmap", "only bind mounts can be id-mapped");
  if (copyUp && bind) refuse("tmpcopyup", "is for a tmpfs, not a bind mount");
  if (copySymlink && (sourceNoFollow || placeNoFollow))
    refuse("copy-symlink", "excludes src-nofollow and dest-nofollow, which mount the link");
  const first = superFlags[0] ?? data[0]?.[0];
  if (remount && !bind && first !== undefined)
    refuse(first, "a remount changes the mount's own attributes here, not those of its file system");
}

function splitOption(option: string): [string, string?] {
  const equals = option.indexOf("=");
  return equals < 1 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
}

/** Every option with a meaning of its own, sorted: what a runtime says it knows (features.md, "mountOptions"). */
export function knownMountOptions(): string[] {
  const attributes = Object.keys(attributeOptions);
  const recursive = attributes.map((name) => `r${name}`);
  const named = [...Object.keys(superOptions), ...Object.keys(propagationOptions), ...ignored];
  return [...attributes, ...recursive, ...named, "bind", "rbind", "idmap", "ridmap", "tmpcopyup"].sort();
}
