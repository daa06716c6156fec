/** The table of rules for all bridges: made with the first network that needs it, and whole whenever a network is in use. */
import { messageOf } from "../lib/errors.ts";
import { firewallNetwork } from "./attachments.ts";
import { hasBridge } from "./bridge.ts";
import type { NetworkRecord } from "./database.ts";
import type { Firewall } from "./firewall/index.ts";
import type { KernelNetworks } from "./kernel.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { NetworkState } from "./state.ts";

interface RulesOptions {
  readonly tag: string;
  readonly log: (message: string) => void;
  readonly state: NetworkState;
  readonly kernel: KernelNetworks;
  readonly firewall: Firewall;
  /** Those that are published. */
  readonly ports: Sandboxes["firewallPorts"];
}

export class Rules {
  readonly #options: RulesOptions;
  #made = false;

  constructor(options: RulesOptions) {
    this.#options = options;
  }

  get isMade(): boolean {
    return this.#made;
  }

  /** All rules of what there is, whatever was there. Throws what Firewall.ensure throws. */
  make(): void {
    const { tag, state, kernel, firewall, ports } = this.#options;
    const bridges = state.networks().filter(hasBridge);
    try {
      firewall.ensure(
        bridges.map((network) => firewallNetwork(network, tag)),
        ports(),
      );
      if (!this.#made) firewall.watch();
      this.#made = true;
    } catch (error) {
      // No network is in use without its rules.
      for (const network of bridges) kernel.forget(network);
      throw error;
    }
  }

  /** Those of a network that has just been made in the kernel; where there is no table yet, with those of all others. */
  add(network: NetworkRecord): void {
    const { tag, kernel, firewall } = this.#options;
    if (!this.#made) {
      this.make();
      return;
    }
    try {
      firewall.addNetwork(firewallNetwork(network, tag));
    } catch (error) {
      kernel.forget(network);
      throw error;
    }
  }

  remove({ id }: NetworkRecord): void {
    if (this.#made) this.#options.firewall.removeNetwork(id);
  }

  drop(): void {
    this.#options.firewall.remove();
    this.#made = false;
  }

  /** Takes away what a former engine has left. Where that is not allowed, there is no table of ours. */
  clear(): void {
    try {
      this.#options.firewall.remove();
    } catch (error) {
      this.#options.log(`networks: ${messageOf(error)}`);
    }
  }
}
