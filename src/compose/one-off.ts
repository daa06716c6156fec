import type { ContainerRequest } from "../api/control/types.ts";
import type { InjectedFile } from "./compile-files.ts";
import { compileRequest } from "./compile-request.ts";
import { labelsOf, profilesOf } from "./containers.ts";
import { exclusively } from "./exclusive.ts";
import type { Host } from "./host.ts";
import { ensureImages, type ImageOptions } from "./images.ts";
import { label } from "./labels.ts";
import { observe } from "./observe.ts";
import { planUp } from "./plan.ts";
import type { Project, Service } from "./project.ts";
import { makeNetwork, makeVolume } from "./resources.ts";

export interface OneOffOptions extends ImageOptions {
  /** Absent: made of the service's name. */
  readonly name?: string | undefined;
  /** Others find it in networks by the service's names, too. */
  readonly useAliases?: boolean;
}

/** What a container of `run` is to be, when its networks, volumes and image are there. `service` is as the command wants it. */
export async function prepareOneOff(
  host: Host,
  project: Project,
  service: Service,
  options: OneOffOptions,
): Promise<{ request: ContainerRequest; files: readonly InjectedFile[] }> {
  const images = await ensureImages(host, project, [service], options);
  const { observed, plan } = await exclusively(host, project.name, async () => {
    const observed = await observe(host.call, project.name);
    const plan = planUp(project, observed, images, {
      ...{ services: [service.name], recreate: "never", recreateDependencies: "never", withoutDependencies: true },
    });
    await Promise.all([
      ...plan.networks.map((step) => makeNetwork(host, project, step)),
      ...plan.volumes.map((step) => makeVolume(host, project, step)),
    ]);
    return { observed, plan };
  });
  const slug = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
  const { hash, texts, imageId } = plan.services[0]!;
  const { request, files, warnings } = compileRequest(project, service, {
    name: options.name ?? `${project.name}-${service.name}-run-${slug.slice(0, 12)}`,
    number: null,
    labels: { ...labelsOf(project, service, { hash, texts, imageId }), [label.oneoff]: "True", [label.slug]: slug },
    peer: (name) => observed.containers.find((one) => one.service === name)?.id,
    profiles: await profilesOf(host, service),
    withoutAliases: options.useAliases !== true,
  });
  for (const warning of warnings) host.warn(warning);
  return { request, files };
}
