/**
 * Where Docker's command line has something that this one has not, or has in another way, and why: the only place where that is
 * written. docs/docker-compat.md is made of it, and who calls an absent command is told. A test fails for a flag of Docker's that
 * neither a command's table nor this one knows, and for an entry here that Docker's command line has no more.
 */

export interface Difference {
  /** Of Docker's, under the shortest name each has: "run", "network create"; "compose *": all of that group. */
  readonly commands: readonly string[];
  /** Without the dashes; absent: the commands as a whole. */
  readonly flags?: readonly string[];
  /** It is here, in another way; absent: it is not here. */
  readonly here?: true;
  readonly why: string;
}

const swarm = "there is no swarm mode";
const contentTrust =
  "Notary's content trust is not used; images are signed and verified by `image sign`, `image verify` and docs/trust.md";

export const differences: readonly Difference[] = [
  {
    commands: ["build", "builder build", "builder prune"],
    why: "there is no builder: docker buildx brings one of its own, or load what others have built",
  },
  {
    commands: ["checkpoint create", "checkpoint ls", "checkpoint rm"],
    why: "`onggi-runtime checkpoint` has it for the OCI runtime; here `snapshot` keeps files",
  },
  { commands: ["start"], flags: ["checkpoint", "checkpoint-dir"], why: "the engine keeps no checkpoints of processes" },
  {
    commands: [
      "trust inspect",
      "trust key generate",
      "trust key load",
      "trust revoke",
      "trust sign",
      "trust signer add",
      "trust signer remove",
    ],
    why: contentTrust,
  },
  { commands: ["run", "create", "pull", "push"], flags: ["disable-content-trust"], why: contentTrust },
  {
    commands: [
      "plugin create",
      "plugin disable",
      "plugin enable",
      "plugin inspect",
      "plugin install",
      "plugin ls",
      "plugin push",
      "plugin rm",
      "plugin set",
      "plugin upgrade",
    ],
    why: "there are no plugins: drivers of networks and volumes are built in, networks also come by CNI plugins",
  },
  { commands: ["config create", "config inspect", "config ls", "config rm"], why: swarm },
  {
    commands: ["secret create", "secret inspect", "secret ls", "secret rm"],
    why: `${swarm}: \`run --secret\` gives a container a secret without one`,
  },
  {
    commands: [
      "service create",
      "service inspect",
      "service logs",
      "service ls",
      "service ps",
      "service rm",
      "service rollback",
      "service scale",
      "service update",
    ],
    why: swarm,
  },
  { commands: ["stack config", "stack deploy", "stack ls", "stack ps", "stack rm", "stack services"], why: swarm },
  {
    commands: [
      "swarm ca",
      "swarm init",
      "swarm join",
      "swarm join-token",
      "swarm leave",
      "swarm unlock",
      "swarm unlock-key",
      "swarm update",
    ],
    why: `${swarm}: \`node join\` has overlay networks reach across hosts`,
  },
  { commands: ["node demote", "node inspect", "node promote", "node ps", "node update"], why: swarm },
  { commands: ["node ls", "node rm"], here: true, why: "of the hosts that share overlay networks, not of a swarm" },
  { commands: ["node ls"], flags: ["filter"], why: "such hosts are few" },
  { commands: ["node rm"], flags: ["force"], why: "a host that answers leaves by itself (`node leave`)" },
  { commands: ["volume update"], why: "that is for volumes of a swarm" },
  {
    commands: ["volume create"],
    flags: [
      "availability",
      "group",
      "limit-bytes",
      "required-bytes",
      "scope",
      "secret",
      "sharing",
      "topology-preferred",
      "topology-required",
      "type",
    ],
    why: "that is for volumes of a swarm",
  },
  { commands: ["volume ls"], flags: ["cluster"], why: "that is for volumes of a swarm" },
  {
    commands: ["run", "create"],
    flags: ["publish", "publish-all"],
    here: true,
    why: "the host's own input rules decide who reaches it from outside, unless `publish=open`; nothing is published on `[::]` for a container without an IPv6 address, for there is no proxy",
  },
  {
    commands: ["run", "create"],
    flags: ["cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops", "isolation"],
    why: "that is for Windows",
  },
  { commands: ["run", "create"], flags: ["kernel-memory"], why: "the kernel has it no more (since 6.1)" },
  {
    commands: ["run", "create", "network connect"],
    flags: ["link-local-ip"],
    why: "an interface has the link-local address that the kernel gives it",
  },
  {
    commands: ["run", "create"],
    flags: ["use-api-socket"],
    why: "a container that is given the socket is root on the host: mount it where that is meant",
  },
  { commands: ["network create"], flags: ["ingress", "scope"], why: swarm },
  {
    commands: ["network create"],
    flags: ["ipam-driver", "ipam-opt"],
    why: "addresses are given by the engine, of a CNI network by its own IPAM plugin",
  },
  { commands: ["rmi"], flags: ["no-prune"], here: true, why: "nothing changes by it: an image has no parents here" },
  { commands: ["network inspect"], flags: ["verbose"], here: true, why: "nothing changes by it: everything is always shown" },
  { commands: ["inspect"], here: true, why: "has what only onggi knows under `Onggi`" },
  { commands: ["version"], here: true, why: "says onggi's versions, in fields of its own" },
  {
    commands: ["network prune", "volume prune", "container prune", "image prune", "system prune"],
    here: true,
    why: "where nobody can answer the question it is refused, which Docker takes for a no",
  },
  {
    commands: ["compose bridge convert", "compose bridge transformations create", "compose bridge transformations list"],
    why: "that makes files for Kubernetes with images of Docker's",
  },
  { commands: ["compose publish"], why: "a project is no artifact of a registry here" },
  { commands: ["compose up"], flags: ["menu"], why: "its keys open Docker Desktop" },
  {
    commands: ["compose build"],
    flags: [
      ...["build-arg", "builder", "check", "memory", "no-cache", "print", "provenance", "pull", "push", "quiet", "sbom", "ssh"],
      "with-dependencies",
    ],
    why: "there is no builder",
  },
  { commands: ["compose run", "compose up"], flags: ["quiet-build"], why: "there is no builder" },
  { commands: ["compose create"], flags: ["yes"], why: "nothing is asked" },
  {
    commands: ["compose kill"],
    flags: ["remove-orphans"],
    why: "`compose down --remove-orphans` and `compose up --remove-orphans` have it",
  },
];
