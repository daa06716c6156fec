import type { Pool } from "../../../engine/types.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import { flag, list, map, type Of, object, text } from "../schema.ts";
import { NOT_A_MANAGER } from "../swarm/swarm.ts";
import { isAtLeast } from "../versions.ts";

const ipam = object({
  Driver: text("default"),
  Options: map(text()),
  Config: list(
    object({
      Subnet: text("a prefix: 10.1.0.0/24"),
      IPRange: text("the part of it that addresses are given from"),
      Gateway: text("the host's address in it"),
      AuxiliaryAddresses: map(text(), "addresses that are somebody else's, by what they are for"),
    }),
  ),
});

const request = object({
  Name: text(),
  CheckDuplicate: flag("not heeded: a name is never given twice"),
  Driver: text("absent: bridge"),
  Scope: text("that of the driver, or absent"),
  Internal: flag("no way out and none in"),
  Attachable: flag("not heeded: every network is; refused of a configuration"),
  Ingress: flag("of a swarm: refused"),
  ConfigOnly: flag("a configuration for others: no container can be in it"),
  ConfigFrom: object({ Network: text("name of a configuration") }, "which says what else would be said here"),
  IPAM: ipam,
  EnableIPv4: flag("absent: true"),
  EnableIPv6: flag("absent: where a subnet of IPv6 is given"),
  Options: map(text(), "of the driver"),
  Labels: map(text()),
});

const predefined = new Set(["bridge", "host", "none", "default"]);

/** Throws ApiError for what networks here do not have. */
function poolsOf({ Driver = "", Options = {}, Config = [] }: Of<typeof ipam>): Pool[] {
  if (Driver !== "" && Driver !== "default") throw new ApiError(400, `IPAM driver ${Driver} is not supported; there is default`);
  const [option] = Object.keys(Options);
  if (option !== undefined) throw new ApiError(400, `IPAM option ${option} is not supported: the default driver has none`);
  return Config.map(({ Subnet, IPRange, Gateway, AuxiliaryAddresses = {} }) => {
    if (!Subnet) throw new ApiError(400, "invalid network config: IPAM.Config wants a Subnet in each of its entries");
    return {
      subnet: Subnet,
      ...(IPRange ? { range: IPRange } : {}),
      ...(Gateway ? { gateway: Gateway } : {}),
      ...(Object.keys(AuxiliaryAddresses).length > 0 ? { reserved: AuxiliaryAddresses } : {}),
    };
  });
}

function refuse({ Name = "", Driver, Scope, Ingress }: Of<typeof request>): void {
  if (predefined.has(Name)) throw new ApiError(403, `operation is not permitted on predefined ${Name} network `);
  if (Scope === "swarm" || Ingress) throw new ApiError(403, NOT_A_MANAGER);
  const own = Driver === "overlay" ? "global" : "local";
  if (Scope && Scope !== own) throw new ApiError(400, `network scope ${Scope}: the driver's is ${own}`);
}

export const create = operation({
  id: "NetworkCreate",
  tag: "Network",
  summary: "make a network",
  needs: "admin",
  method: "POST",
  path: "/networks/create",
  body: request,
  answers: {
    201: "its id",
    403: "a predefined network, one of a swarm, a subnet that overlaps another, or what a configuration, or a network made after one, cannot have",
    404: "no such configuration",
    409: "there is one of that name",
  },
  differs:
    "Ingress, other IPAM drivers and options of a driver that onggi's has not are refused; Attachable is not kept, for every network is; a network of driver overlay does not tell its ConfigFrom",
  run: async ({ engine, body, version }) => {
    refuse(body);
    const { Name = "", Driver, IPAM = {}, Internal, Attachable, EnableIPv4, EnableIPv6, Options = {}, Labels = {} } = body;
    const { ConfigOnly, ConfigFrom } = body;
    const pools = poolsOf(IPAM);
    const { id } = await engine.networks.create({
      name: Name,
      ...(Driver ? { driver: Driver } : {}),
      ...(pools.length > 0 ? { pools } : {}),
      ...(Internal ? { internal: true } : {}),
      ...(Attachable ? { attachable: true } : {}),
      ...(ConfigOnly ? { configOnly: true } : {}),
      ...(ConfigFrom?.Network ? { configFrom: ConfigFrom.Network } : {}),
      ...(EnableIPv4 === undefined || !isAtLeast(version, "1.48") ? {} : { ipv4: EnableIPv4 }),
      // old clients always say one of both: false forbids no subnet of IPv6
      ...(EnableIPv6 ? { ipv6: true } : {}),
      options: Options,
      labels: Labels,
    });
    return json(201, { Id: id, Warning: "" });
  },
});
