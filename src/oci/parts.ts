/**
 * Parts of config.json that come in files of their own: the process of an exec, the resources of an update. They are held to
 * what config.json is held to; a fault's path is where the part would be in it: "process.cwd", "linux.resources.memory.limit".
 */
import { messageOf } from "../lib/errors.ts";
import { InvalidSpec } from "./schema.ts";
import type { LinuxResources, Process } from "./spec.ts";
import { validateSpec } from "./validate.ts";

const ociVersion = "1.0.0";

/** A process that can be run, so with a program. Throws InvalidSpec. */
export function validateProcess(value: unknown): Process & { args: string[] } {
  const { process } = validateSpec({ ociVersion, process: value });
  if (!process) throw new InvalidSpec("process", "is missing");
  const { args } = process;
  if (!args) throw new InvalidSpec("process.args", "is missing");
  return { ...process, args };
}

/** process.json's text. Throws InvalidSpec, whatever the text is. */
export const parseProcess = (text: string): Process & { args: string[] } => validateProcess(parse(text, "process"));

/** The text of a file with resources. Throws InvalidSpec, whatever the text is. */
export function parseResources(text: string): LinuxResources {
  const path = "linux.resources";
  const { linux } = validateSpec({ ociVersion, linux: { resources: parse(text, path) } });
  return linux?.resources ?? {};
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidSpec(path, `is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
