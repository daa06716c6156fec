/**
 * What containers have by CNI, on the disk: a file for each attachment, written whole before the first plugin is asked to make it and
 * gone when the last one has taken it back. So whatever is killed when, what has been begun is known, and with which configuration.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import type { Publication } from "../types.ts";
import { conflistOf, type NetworkConfig, parseConflist } from "./config.ts";
import { isObject, isText, type JsonObject, parseJson } from "./json.ts";
import type { CniEndpointRequest } from "./types.ts";

export interface AttachmentRecord {
  readonly container: string;
  readonly ifname: string;
  readonly request: CniEndpointRequest;
  /** As it was when plugins were first asked. */
  readonly network: NetworkConfig;
  readonly netns: string;
  readonly args: string;
  readonly capabilities: JsonObject;
  readonly published: readonly Publication[];
  /** What ADD has given, in the network's version; null until it has come to an end. */
  readonly result: JsonObject | null;
}

const ENDING = ".json";

/** @throws Error for what this module has not written */
function decode(text: string): AttachmentRecord {
  const value = parseJson(text);
  if (!isObject(value)) throw new Error("not an object");
  const { container, ifname, netns, args, request, capabilities, published, result, network } = value;
  const texts = [container, ifname, netns, args].every(isText);
  if (!texts || !isObject(request) || !isObject(capabilities) || !Array.isArray(published)) throw new Error("fields are missing");
  if (result !== null && !isObject(result)) throw new Error("its result is not an object");
  return { ...(value as unknown as AttachmentRecord), network: parseConflist(JSON.stringify(network)) };
}

const encode = (record: AttachmentRecord): string => JSON.stringify({ ...record, network: conflistOf(record.network) });

async function flush(path: string, text?: string): Promise<void> {
  const file = await open(path, text === undefined ? "r" : "w", 0o600);
  try {
    if (text !== undefined) await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

export class Attachments {
  readonly #directory: string;
  readonly #records = new Map<string, AttachmentRecord>();

  /** Reads what there is. A file that cannot be read is left where it is, and said. */
  constructor(directory: string, log: (message: string) => void) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(directory).sort()) {
      const path = join(directory, name);
      if (!name.endsWith(ENDING)) {
        rmSync(path, { force: true });
        continue;
      }
      try {
        const record = decode(readFileSync(path, "utf8"));
        this.#records.set(this.#path(record), record);
      } catch (error) {
        log(`CNI: attachment ${path} cannot be read and is left as it is: ${messageOf(error)}`);
      }
    }
  }

  #path({ container, ifname }: AttachmentRecord): string {
    return join(this.#directory, `${container}.${ifname}${ENDING}`);
  }

  all(): AttachmentRecord[] {
    return [...this.#records.values()];
  }

  /** In the order they were made. */
  of(container: string): AttachmentRecord[] {
    return this.all().filter((record) => record.container === container);
  }

  /** Durable when it resolves. */
  async put(record: AttachmentRecord): Promise<void> {
    const path = this.#path(record);
    await flush(`${path}.new`, encode(record));
    await rename(`${path}.new`, path);
    await flush(this.#directory);
    this.#records.set(path, record);
  }

  /** Not flushed: an attachment that comes back after a power cut is deleted once more, which plugins must take. */
  async remove(record: AttachmentRecord): Promise<void> {
    const path = this.#path(record);
    await rm(path, { force: true });
    this.#records.delete(path);
  }
}
