/** What a runtime says in the environment ("Parameters", section 2 of CNI's specification). Pure. */
import { CniError, CODE } from "./errors.ts";

/** Longest value that is looked at, characters. */
const LONGEST = 4096;

export interface Arguments {
  readonly name?: string;
  readonly ip?: string;
  readonly mac?: string;
}

/** An interface of a sandbox. */
export interface Attachment {
  readonly containerId: string;
  readonly interface: string;
  /** Path; empty where it may be missing and is. */
  readonly netns: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Letters, digits and "._-", the first one a letter or digit: container ids and names of networks. */
export const isIdentifier = (text: string): boolean => text.length <= 255 && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);

/** As the kernel takes it: 1 to 15 bytes, none of them a space, "/" or ":", and no directory's name. */
export const isInterfaceName = (text: string): boolean =>
  text !== "." && text !== ".." && Buffer.byteLength(text) <= 15 && /^[^\s/:%\0]+$/u.test(text);

/** Of a process's own directory in /proc every process has another one. */
const isPath = (text: string): boolean =>
  text.startsWith("/") && text.length < LONGEST && !text.includes("\0") && !/^\/+proc\/+(self|thread-self)\//.test(text);

const invalid = (problems: readonly string[]): CniError => new CniError(CODE.invalidEnvironment, problems.join("; "));

/** @throws CniError invalidEnvironment, which names every variable that is missing or wrong */
export function attachmentOf(env: Environment, needsNamespace: boolean): Attachment {
  const { CNI_CONTAINERID: containerId = "", CNI_IFNAME: name = "", CNI_NETNS: netns = "" } = env;
  const problems: string[] = [];
  const check = (variable: string, value: string, isValid: boolean, what: string): void => {
    if (value === "") problems.push(`${variable} is missing`);
    else if (!isValid) problems.push(`${variable} ${JSON.stringify(value.slice(0, 100))} is ${what}`);
  };
  check("CNI_CONTAINERID", containerId, isIdentifier(containerId), "no id: letters, digits and ._-, at most 255");
  check("CNI_IFNAME", name, isInterfaceName(name), "no name of an interface");
  if (needsNamespace || netns !== "") {
    check("CNI_NETNS", netns, isPath(netns), "no absolute path that means the same to the engine");
  }
  if (problems.length > 0) throw invalid(problems);
  return { containerId, interface: name, netns };
}

/** Keys that are somebody's, and mean nothing here. */
const passed = new Set(["K8S_POD_NAMESPACE", "K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID"]);
const meant = { K8S_POD_NAME: "name", IP: "ip", MAC: "mac" } as const;

/**
 * CNI_ARGS, "KEY=VALUE;KEY=VALUE". Unknown keys are refused unless there is IgnoreUnknown=1, as the reference plugins do.
 * @throws CniError invalidEnvironment
 */
export function argumentsOf(env: Environment): Arguments {
  const text = env.CNI_ARGS ?? "";
  if (text.length > LONGEST) throw invalid(["CNI_ARGS is longer than 4096 characters"]);
  const result: Record<string, string> = {};
  const unknown: string[] = [];
  let ignoresUnknown = false;
  for (const pair of text.split(";").filter((part) => part !== "")) {
    const at = pair.indexOf("=");
    if (at <= 0) throw invalid([`CNI_ARGS ${JSON.stringify(pair.slice(0, 100))} is not KEY=VALUE`]);
    const [key, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (key === "IgnoreUnknown") ignoresUnknown = /^(1|t|true)$/i.test(value);
    else if (Object.hasOwn(meant, key)) {
      if (value !== "") result[meant[key as keyof typeof meant]] = value;
    } else if (!passed.has(key)) unknown.push(key);
  }
  if (unknown.length > 0 && !ignoresUnknown) throw invalid([`CNI_ARGS has unknown keys: ${unknown.join(", ").slice(0, 200)}`]);
  const { name } = result;
  if (name !== undefined && !isIdentifier(name)) throw invalid([`CNI_ARGS K8S_POD_NAME ${JSON.stringify(name)} is no name`]);
  return result;
}
