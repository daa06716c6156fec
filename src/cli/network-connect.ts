import { define } from "./command.ts";
import { list, text } from "./flags.ts";
import { parseNetwork } from "./network-flags.ts";

export const command = define({
  usage: "[flags] NETWORK CONTAINER",
  summary: "put a container into one more network",
  flags: {
    alias: list("", "NAME", "another name of it there"),
    link: list("", "CONTAINER[:ALIAS]", "a name for another container there that it alone knows", { complete: "container" }),
    ip: text("", "ADDRESS", "IPv4 address"),
    ip6: text("", "ADDRESS", "IPv6 address"),
    "mac-address": text("", "ADDRESS", "hardware address", { rare: true }),
    "driver-opt": list("", "KEY=VALUE", "com.docker.network.endpoint.ifname=NAME", { rare: true }),
    "gw-priority": text("", "N", "the network with the highest has the default route", { rare: true }),
    receive: text("", "RATE", "what it receives there, as in 20mbit or 2mb; 0: no limit", { rare: true }),
    send: text("", "RATE", "what it sends there", { rare: true }),
  },
  args: [2, 2],
  complete: "network",
  examples: [["network connect --alias db back web", "web is also db there"]],
  async run(context, values, [network = "", container = ""]) {
    const words = [
      `name=${network}`,
      ...(values.alias ?? []).map((name) => `alias=${name}`),
      ...(values.link ?? []).map((link) => `link=${link}`),
      ...(values.ip === undefined ? [] : [`ip=${values.ip}`]),
      ...(values.ip6 === undefined ? [] : [`ip6=${values.ip6}`]),
      ...(values["mac-address"] === undefined ? [] : [`mac-address=${values["mac-address"]}`]),
      ...(values["driver-opt"] ?? []).map((option) => `driver-opt=${option}`),
      ...(values["gw-priority"] === undefined ? [] : [`gw-priority=${values["gw-priority"]}`]),
      ...(values.receive === undefined ? [] : [`receive=${values.receive}`]),
      ...(values.send === undefined ? [] : [`send=${values.send}`]),
    ];
    await context.call("networkConnect", { container, endpoint: parseNetwork(words.join(",")) });
    return 0;
  },
});
