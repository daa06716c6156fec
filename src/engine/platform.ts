/** Images of other architectures: whether this machine can run them, and what their user should hear. */
import { readdirSync, readFileSync } from "node:fs";
import { hostPlatform } from "../images/index.ts";
import type { Image } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { nativeDistance, parsePlatform, platformText } from "../oci/platform.ts";
import { type BinfmtEntry, elfHead, isInRoot, parseBinfmt, takes } from "../runtime/index.ts";
import { close, mountFs, SysError } from "../sys/index.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { withImage } from "./prepare.ts";
import type { ContainerRequest } from "./types.ts";

/** Its programs are this machine's own, or of the 32-bit form of them. A higher variant is tried: the processor may know it. */
function isNative(image: Image): boolean {
  const { os, architecture } = parsePlatform(image.platform);
  return nativeDistance(hostPlatform(), { os, architecture }) !== null;
}

/**
 * Entries of binfmt_misc, null where the kernel has none of it. They are the user namespace's, so it does not matter whether, or
 * where, somebody has mounted them: this mount is attached nowhere.
 */
function binfmtEntries(): BinfmtEntry[] | null {
  let fd: number;
  try {
    fd = mountFs("binfmt_misc");
  } catch (error) {
    if (error instanceof SysError) return null;
    throw error;
  }
  try {
    const folder = `/proc/self/fd/${fd}`;
    if (readFileSync(`${folder}/status`, "utf8").trim() !== "enabled") return [];
    const names = readdirSync(folder).filter((name) => name !== "register" && name !== "status");
    return names.flatMap((name) => parseBinfmt(name, readFileSync(`${folder}/${name}`, "utf8")) ?? []);
  } finally {
    close(fd);
  }
}

const advice = (architecture: string): string =>
  'install it with "apt-get install qemu-user-static binfmt-support" (Debian, Ubuntu), or with ' +
  `"onggi run --rm --privileged tonistiigi/binfmt --install ${architecture}", and try again`;

/** Throws "platform_unsupported" for an image whose programs the kernel would not start. */
function checkRunnable(context: Context, image: Image, name: string): void {
  if (isNative(image)) return;
  const { architecture } = parsePlatform(image.platform);
  const refusal = (why: string): OnggiError => {
    const what = `image ${name} is for ${image.platform}, this machine is ${platformText(hostPlatform())}`;
    return new OnggiError("platform_unsupported", `${what}, and ${why}`);
  };
  const entries = binfmtEntries();
  if (!entries) throw refusal("its kernel has no binfmt_misc, by which it would start an emulator");
  const head = elfHead(architecture);
  const entry = head && entries.find((each) => takes(each, head));
  if (!entry) throw refusal(`no emulator is registered for ${architecture}: ${advice(architecture)}`);
  // Without the flag F the kernel looks for the emulator in the container.
  if (entry.flags.includes("F") || withImage(context, image.id, [], (fds) => isInRoot(fds, entry.interpreter))) return;
  const how = `its emulator ${entry.interpreter} is registered (as ${entry.name}) without the flag F, so it would have to be in the image`;
  throw refusal(`${how}: ${advice(architecture)}`);
}

/** The image a container is asked for. Throws what ImageStore.get throws, and "platform_unsupported" where it cannot run here. */
export function runnableImage(context: Context, { image: name, platform }: ContainerRequest): Image {
  const image = context.images.get(name, platform);
  checkRunnable(context, image, name);
  return image;
}

/** Docker's warning where an image of another platform runs although none was asked for. */
export function otherPlatform(context: Context, { imageId, request }: ContainerRecord): string[] {
  if (imageId === "" || request.platform !== undefined) return [];
  const image = context.images.get(imageId);
  if (isNative(image)) return [];
  const host = platformText(hostPlatform());
  return [
    `The requested image's platform (${image.platform}) does not match the detected host platform (${host}) and no specific platform was requested`,
  ];
}
