/** Users and groups as the container's own /etc/passwd and /etc/group name them, passwd(5), group(5). */
import { OnggiError } from "../lib/errors.ts";

export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Sorted, without duplicates, without `gid`. */
  readonly additionalGids: readonly number[];
  /** Home directory, "/" when the container does not say. */
  readonly home: string;
}

/** Ids are 31 bits, as for Docker and runc: some file systems and tools cannot carry more. */
const MAX_ID = 2 ** 31 - 1;

/** A decimal id in range; undefined for anything else. */
function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}

const linesOf = (text: string): string[][] =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));

/** Lines that are not entries are skipped: the file is the image's. */
export function parsePasswd(text: string): PasswdEntry[] {
  return linesOf(text).flatMap(([name = "", , uidText = "", gidText = "", , home = ""]) => {
    const uid = parseId(uidText);
    const gid = parseId(gidText);
    return name === "" || uid === undefined || gid === undefined ? [] : [{ name, uid, gid, home }];
  });
}

export function parseGroup(text: string): GroupEntry[] {
  return linesOf(text).flatMap(([name = "", , gidText = "", members = ""]) => {
    const gid = parseId(gidText);
    if (name === "" || gid === undefined) return [];
    return [{ name, gid, members: members.split(",").filter((member) => member !== "") }];
  });
}

/**
 * Resolves "user", "uid", "user:group", "uid:gid" or nothing (root), as Docker does: a name outweighs a number; an id that
 * the files do not know is taken as it is, with group 0; a group of its own rules the user's supplementary groups out.
 * `groupAdd` are further groups by name or number. Throws OnggiError `unknown_user`, `unknown_group`.
 */
export function resolveUser(
  wanted: string | undefined,
  files: { readonly passwd: string; readonly group: string },
  groupAdd: readonly string[] = [],
): ResolvedUser {
  const [userText = "", groupText = ""] = splitOnce(wanted ?? "");
  const users = parsePasswd(files.passwd);
  const groups = parseGroup(files.group);
  const name = userText === "" ? "0" : userText;
  const id = parseId(name);
  const entry = users.find((user) => user.name === name) ?? users.find((user) => user.uid === id);
  if (!entry && id === undefined) {
    throw new OnggiError(
      "unknown_user",
      `user ${JSON.stringify(name)}: not in the container's /etc/passwd, and no id from 0 to ${MAX_ID}`,
    );
  }
  const gid = groupText === "" ? (entry?.gid ?? 0) : groupId(groupText, groups);
  const own =
    groupText === "" && entry ? groups.filter(({ members }) => members.includes(entry.name)).map((group) => group.gid) : [];
  const added = groupAdd.map((group) => groupId(group, groups));
  // its own too: a file that denies something to that group denies it to a process that has changed its own (CVE-2022-36109)
  const additionalGids = [...new Set([gid, ...own, ...added])].sort((a, b) => a - b);
  return { uid: entry?.uid ?? (id as number), gid, additionalGids, home: entry?.home || "/" };
}

function groupId(wanted: string, groups: readonly GroupEntry[]): number {
  const gid = groups.find(({ name }) => name === wanted)?.gid ?? parseId(wanted);
  if (gid !== undefined) return gid;
  throw new OnggiError(
    "unknown_group",
    `group ${JSON.stringify(wanted)}: not in the container's /etc/group, and no id from 0 to ${MAX_ID}`,
  );
}

function splitOnce(text: string): [string, string?] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text] : [text.slice(0, colon), text.slice(colon + 1)];
}
