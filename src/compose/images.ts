import { messageOf, OnggiError } from "../lib/errors.ts";
import { codeOf, type Host } from "./host.ts";
import { imageName } from "./names.ts";
import type { Project, Service } from "./project.ts";

/** Images of a project's services. */

export interface ImageOptions {
  /** Instead of what the services say. */
  readonly pull?: "always" | "missing" | "never" | undefined;
  readonly quiet?: boolean;
}

/** The id of an image that is here; undefined: it is not. */
export async function imageId(host: Host, image: string, platform?: string): Promise<string | undefined> {
  try {
    const { id } = await host.call("imageInspect", { image, ...(platform === undefined ? {} : { platform }) });
    return id;
  } catch (error) {
    if (codeOf(error) === "image_not_found") return undefined;
    throw error;
  }
}

/** By service the id of its image, after all have been brought that are to be. Throws `image_not_found`, `builder_missing`. */
export async function ensureImages(
  host: Host,
  project: Project,
  services: readonly Service[],
  options: ImageOptions,
): Promise<Map<string, string>> {
  const byImage = Map.groupBy(services, (service) => `${imageName(project.name, service)} ${service.platform ?? ""}`);
  const found = await Promise.all(
    [...byImage.values()].map(async (users) => {
      const id = await ensureImage(host, project, users[0]!, options);
      return users.map(({ name }) => [name, id] as const);
    }),
  );
  return new Map(found.flat());
}

async function ensureImage(host: Host, project: Project, service: Service, options: ImageOptions): Promise<string> {
  const image = imageName(project.name, service);
  const here = await imageId(host, image, service.platform);
  if (here !== undefined && !isPulled(service, options)) return here;
  if (service.build !== undefined) throw builderMissing(service, image);
  if (here === undefined && (options.pull ?? service.pull_policy) === "never")
    throw new OnggiError(
      "image_not_found",
      `service ${service.name}: there is no image ${image}, and its pull policy is never: onggi pull ${image}`,
    );
  await host.pull(image, { platform: service.platform, quiet: options.quiet });
  const id = await imageId(host, image, service.platform);
  if (id === undefined && host.isDryRun) return image;
  if (id === undefined)
    throw new OnggiError("image_not_found", `service ${service.name}: there is no image ${image} after it was pulled`);
  return id;
}

export const builderMissing = ({ name }: Service, image: string): OnggiError =>
  new OnggiError(
    "builder_missing",
    `service ${name} is to be built, and there is no builder yet: build image ${image} elsewhere and load it (onggi load), or give the service an image`,
  );

/** Whether an image that is here is looked for in its registry nevertheless: of "daily" and its kin nobody knows when that was last. */
function isPulled(service: Service, { pull }: ImageOptions): boolean {
  const policy = pull ?? service.pull_policy ?? "missing";
  return (
    service.build === undefined &&
    (policy === "always" || policy === "daily" || policy === "weekly" || policy.startsWith("every_"))
  );
}

export interface PullImages {
  readonly quiet: boolean;
  /** What cannot be brought is told, and is no error. */
  readonly ignoreFailures: boolean;
  isHere(image: string): Promise<boolean>;
}

/** Brings the images of services, each once. */
export async function pullImages(
  host: Host,
  services: readonly Service[],
  { quiet, ignoreFailures, isHere }: PullImages,
): Promise<void> {
  const wanted = new Map(
    services.flatMap(({ image, platform }) => (image ? [[`${image} ${platform ?? ""}`, { image, platform }] as const] : [])),
  );
  await Promise.all(
    [...wanted.values()].map(async ({ image, platform }) => {
      if (await isHere(image)) return;
      try {
        await host.pull(image, { platform, quiet });
      } catch (error) {
        if (!ignoreFailures) throw error;
        host.warn(messageOf(error));
      }
    }),
  );
}
