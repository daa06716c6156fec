import type { PortRequest } from "../api/control/types.ts";
import { Limiter } from "../lib/limiter.ts";
import { compilePorts } from "./compile-networks.ts";
import { anonymousVolumes, create, giveWay, remove, type StopOptions, start, stop } from "./containers.ts";
import { exclusively } from "./exclusive.ts";
import { type Host, told } from "./host.ts";
import { ensureImages, type ImageOptions } from "./images.ts";
import { containerName, dependenciesOf, neededServices, temporaryName } from "./names.ts";
import { type ObservedContainer, observe } from "./observe.ts";
import { type ContainerStep, chosenServices, type Plan, type PlanOptions, planUp, type ServicePlan } from "./plan.ts";
import type { Project, Service } from "./project.ts";
import { makeNetwork, makeVolume } from "./resources.ts";
import { untilOne, untilSteady } from "./wait.ts";

export interface UpOptions extends PlanOptions, ImageOptions {
  readonly withoutStart?: boolean;
  readonly renewVolumes?: boolean;
  /** Seconds until SIGKILL for containers that give way. */
  readonly timeout?: number | undefined;
  /** Told when everything is made and nothing started. */
  readonly created?: () => Promise<void>;
  /** Says nothing of orphans. */
  readonly ignoreOrphans?: boolean;
}

export interface UpResult {
  /** The containers of the services that were asked for, and of their dependencies. */
  readonly containers: readonly {
    readonly id: string;
    readonly name: string;
    readonly service: string;
    readonly number: number;
  }[];
}

/** Makes what there is of a project what its files say. Done once more it changes nothing; what stopped half-way it completes. */
export async function up(host: Host, project: Project, options: UpOptions): Promise<UpResult> {
  const images = await ensureImages(host, project, chosenServices(project, options), options);
  return exclusively(host, project.name, async () => {
    const plan = planUp(project, await observe(host.call, project.name), images, options);
    for (const warning of plan.warnings) host.warn(warning);
    if (!plan.removeOrphans && !options.ignoreOrphans) warnOfOrphans(host, plan);
    await Promise.all([
      ...plan.networks.map((step) => makeNetwork(host, project, step)),
      ...plan.volumes.map((step) => makeVolume(host, project, step)),
    ]);
    return new Convergence(host, project, plan, options).run();
  });
}

function warnOfOrphans(host: Host, { orphans }: Plan): void {
  if (orphans.length === 0) return;
  const names = orphans.map(({ name }) => name).join(", ");
  host.warn(
    `Found orphan containers (${names}) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
  );
}

/** A container that is there and what is still to be done with it. */
interface Ready {
  readonly id: string;
  readonly number: number;
  /** The one it takes the place of. */
  readonly old?: ObservedContainer;
  /** It takes it while both run: these are its ports then. */
  readonly rolls?: readonly PortRequest[];
  readonly starts: boolean;
}

/**
 * The plan of containers on its way. All that is missing is created first, what something else shares its namespaces with before that;
 * then each service starts as soon as those it depends on are as it wants them. Until then what a container replaces runs on.
 */
class Convergence {
  readonly #host: Host;
  readonly #project: Project;
  readonly #plan: Plan;
  readonly #options: UpOptions;
  readonly #plans: ReadonlyMap<string, ServicePlan>;
  readonly #created = new Map<string, Promise<Ready[]>>();
  readonly #started = new Map<string, Promise<void>>();
  /** By service: those that stand for it. */
  readonly #ready = new Map<string, Ready[]>();

  constructor(host: Host, project: Project, plan: Plan, options: UpOptions) {
    this.#host = host;
    this.#project = project;
    this.#plan = plan;
    this.#options = options;
    this.#plans = new Map(plan.services.map((one) => [one.service.name, one]));
  }

  async run(): Promise<UpResult> {
    const { services, orphans, removeOrphans } = this.#plan;
    await Promise.all([
      ...(removeOrphans
        ? orphans.map((orphan) => remove(this.#host, undefined, orphan, { timeout: this.#options.timeout }))
        : []),
      ...services.map(({ service }) => this.#create(service.name)),
    ]);
    await this.#options.created?.();
    if (this.#options.withoutStart) await Promise.all(services.map((plan) => this.#settle(plan)));
    else await Promise.all(services.map(({ service }) => this.#start(service.name)));
    return { containers: services.flatMap(({ service }) => this.#containersOf(service)) };
  }

  #containersOf(service: Service): UpResult["containers"] {
    return (this.#ready.get(service.name) ?? []).map(({ id, number }) => ({
      ...{ id, number, service: service.name },
      name: containerName(this.#project.name, service, number),
    }));
  }

  #create(name: string): Promise<Ready[]> {
    const known = this.#created.get(name);
    if (known) return known;
    const plan = this.#plans.get(name)!;
    const work = (async () => {
      const needed = neededServices(plan.service).filter((one) => this.#plans.has(one));
      await Promise.all(needed.map((one) => this.#create(one)));
      const found = await Promise.all(plan.steps.map((step) => this.#prepare(plan, step)));
      const ready = found.filter((one) => one !== undefined);
      this.#ready.set(name, ready);
      return ready;
    })();
    this.#created.set(name, work);
    return work;
  }

  /** What a step comes to before anything is started; undefined where nothing is left. */
  async #prepare(plan: ServicePlan, step: ContainerStep): Promise<Ready | undefined> {
    const { service } = plan;
    const host = this.#host;
    if (step.kind === "remove") {
      await remove(host, service, step.container, { timeout: this.#options.timeout });
      return undefined;
    }
    const { number } = step;
    const name = containerName(this.#project.name, service, number);
    const id = `Container ${name}`;
    const creation = { name, number, peer: (other: string) => this.#peer(other) };
    switch (step.kind) {
      case "create":
        return {
          ...{ number, starts: true },
          id: await told(host, id, ["Creating", "Created"], () => create(host, this.#project, plan, creation)),
        };
      case "recreate": {
        const { old } = step;
        const exclusive = hasFixedAddress(service);
        const rolls = this.#rolls(service, old) ? (compilePorts(service) ?? []) : undefined;
        const made = await told(host, id, ["Recreate", "Recreated"], async () => {
          const inherited = this.#options.renewVolumes
            ? new Map<string, string>()
            : await anonymousVolumes(host, old.id, service);
          if (exclusive) await giveWay(host, service, old, this.#stopOptions);
          const asked = { ...creation, inherited, name: exclusive ? name : temporaryName(old.id, name) };
          return create(host, this.#project, plan, { ...asked, withoutPorts: rolls !== undefined });
        });
        return { id: made, number, starts: true, ...(exclusive ? {} : { old }), ...(rolls ? { rolls } : {}) };
      }
      case "adopt":
        await host.call("rename", { container: step.container.id, name });
        return { id: step.container.id, number, starts: true };
      case "start":
        return { id: step.container.id, number, starts: true };
      case "restart":
        await stop(host, service, step.container, this.#stopOptions);
        return { id: step.container.id, number, starts: true };
      case "keep":
        host.tell({ id, text: "Running", status: "done" });
        return { id: step.container.id, number, starts: false };
    }
  }

  #peer(service: string): string | undefined {
    return this.#ready.get(service)?.[0]?.id ?? this.#plan.present.find((one) => one.service === service)?.id;
  }

  async #settle({ service }: ServicePlan): Promise<void> {
    const ready = this.#ready.get(service.name) ?? [];
    await Promise.all(ready.map((one) => this.#replace(service, one)));
  }

  async #replace(service: Service, { id, old, number }: Ready): Promise<void> {
    if (old === undefined) return;
    await giveWay(this.#host, service, old, this.#stopOptions);
    await this.#host.call("rename", { container: id, name: containerName(this.#project.name, service, number) });
  }

  get #stopOptions(): StopOptions {
    return { timeout: this.#options.timeout, volumes: this.#options.renewVolumes ?? false };
  }

  /** Whether both can run for a moment: they must share nothing that there is but once. */
  #rolls(service: Service, old: ObservedContainer): boolean {
    const wanted = this.#options.rolling || service.deploy?.update_config?.order === "start-first";
    if (!wanted || old.state !== "running" || this.#options.withoutStart) return false;
    const shares = hasFixedAddress(service) || service.network_mode !== undefined;
    if (shares)
      this.#host.warn(`service ${service.name} has a fixed address or no network of its own: its old container stops first`);
    return !shares;
  }

  /** The new one runs and is healthy before it gets the ports and names of the old one, which then goes. Otherwise the old one stays. */
  async #roll(
    service: Service,
    { id, old, number, rolls }: Ready & { old: ObservedContainer; rolls: readonly PortRequest[] },
  ): Promise<void> {
    const host = this.#host;
    const name = containerName(this.#project.name, service, number);
    try {
      await start(host, this.#project, service, { id, number }, true);
      await untilSteady(host, { id, name }, service);
    } catch (error) {
      await host.call("remove", { container: id, force: true }).catch(() => {});
      host.warn(`the new container of ${name} is removed, the old one stays`);
      throw error;
    }
    await host.call("takeOver", { container: id, from: old.id, publish: [...rolls] });
    await new Promise((resolve) => setTimeout(resolve, DRAIN));
    await this.#replace(service, { id, old, number, starts: false });
  }

  #start(name: string): Promise<void> {
    const known = this.#started.get(name);
    if (known) return known;
    const { service } = this.#plans.get(name)!;
    const work = (async () => {
      const ready = this.#ready.get(name) ?? [];
      if (ready.some(({ starts }) => starts)) await this.#untilDependencies(service);
      const rolling = new Limiter(service.deploy?.update_config?.parallelism || 1);
      await Promise.all(
        ready.map(async (one) => {
          const { old, rolls } = one;
          if (rolls && old) return rolling.run(() => this.#roll(service, { ...one, old, rolls }));
          await this.#replace(service, one);
          if (one.starts) await start(this.#host, this.#project, service, one);
        }),
      );
    })();
    this.#started.set(name, work);
    return work;
  }

  async #untilDependencies(service: Service): Promise<void> {
    await Promise.all(
      [...dependenciesOf(service)].map(async ([name, dependency]) => {
        const plan = this.#plans.get(name);
        if (plan === undefined) return;
        await this.#start(name);
        await untilOne(this.#host, name, this.#containersOf(plan.service), dependency);
      }),
    );
  }
}

/** Milliseconds that an old container is left to answer what it was asked before the new one took over. */
const DRAIN = 500;

/** Two containers cannot have one address, even if one does not run. */
const hasFixedAddress = ({ networks = {} }: Service): boolean =>
  Object.values(networks).some((one) => one?.ipv4_address !== undefined || one?.ipv6_address !== undefined);
