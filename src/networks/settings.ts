/** What an administrator wants of networks, checked by itself. Pure. */
import { checkPool } from "./addresses.ts";
import { NetworkError } from "./errors.ts";
import { chosenPool } from "./making.ts";
import { parseOptions } from "./options.ts";
import type { NetworkDriver, NetworkSettings } from "./types.ts";

const drivers: readonly NetworkDriver[] = ["bridge", "overlay", "macvlan", "ipvlan"];

/** Looks at one part; each throws NetworkError address_invalid or network_invalid. */
export const settingChecks = {
  pools: ({ pools }: NetworkSettings): void => pools.forEach(checkPool),
  bridge: ({ bridge }: NetworkSettings): void => {
    chosenPool(bridge);
    parseOptions("bridge", bridge.options);
  },
  options: ({ options }: NetworkSettings): void => {
    for (const [name, given] of Object.entries(options)) {
      const driver = drivers.find((one) => one === name);
      if (!driver) throw new NetworkError("network_invalid", `no network driver "${name}"; there are ${drivers.join(", ")}`);
      parseOptions(driver, given);
    }
  },
};
