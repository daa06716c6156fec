/** What one invocation knows of the host, found out when it is first asked for. */
import { type CgroupLayout, type CgroupManager, cgroupFacts, detectCgroups, openCgroups } from "../runtime/cgroups/index.ts";
import { probeHost } from "../runtime/facts.ts";
import type { HostFacts } from "../runtime/types.ts";
import type { RuntimeOptions } from "./types.ts";

export class Host {
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly rootless: boolean;
  private knownLayout: CgroupLayout | undefined;
  private knownFacts: HostFacts | undefined;
  private knownCgroups: CgroupManager | undefined;
  private knownSystemd: CgroupManager | undefined;

  /** Takes what has gone wrong and changes nothing. */
  readonly warn: (message: string) => void;

  constructor({ root, systemdCgroup, rootless }: RuntimeOptions, warn: (message: string) => void) {
    this.warn = warn;
    this.root = root;
    this.systemdCgroup = systemdCgroup;
    this.rootless = rootless === "auto" ? process.geteuid?.() !== 0 : rootless;
  }

  get layout(): CgroupLayout {
    this.knownLayout ??= detectCgroups();
    return this.knownLayout;
  }

  get facts(): HostFacts {
    this.knownFacts ??= probeHost(cgroupFacts(this.layout));
    return this.knownFacts;
  }

  /** The manager that made a container's group, or will. */
  cgroups(systemd: boolean): CgroupManager {
    if (systemd) {
      this.knownSystemd ??= openCgroups({ layout: this.layout, systemd });
      return this.knownSystemd;
    }
    this.knownCgroups ??= openCgroups({ layout: this.layout });
    return this.knownCgroups;
  }
}
