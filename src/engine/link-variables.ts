/** What a container of the default network is told by environment variables of one that it is linked to, as with Docker. Pure. */

export interface Linked {
  /** Variables are named by it, in capitals. */
  readonly alias: string;
  /** "/web/db": who is linked to it, and the alias. */
  readonly name: string;
  readonly address: string;
  /** "80/tcp". */
  readonly ports: readonly string[];
  readonly env: readonly string[];
}

interface Port {
  readonly number: number;
  readonly protocol: string;
}

const parsePort = (text: string): Port => {
  const [number = "", protocol = "tcp"] = text.split("/");
  return { number: Number(number), protocol: protocol.toLowerCase() };
};

/** Those of TCP first. */
const inOrder = (one: Port, other: Port): number =>
  Number(one.protocol !== "tcp") - Number(other.protocol !== "tcp") ||
  Number(one.protocol > other.protocol) - Number(one.protocol < other.protocol) ||
  one.number - other.number;

/** Runs of consecutive numbers of one protocol. */
function runsOf(ports: readonly Port[]): Port[][] {
  const runs: Port[][] = [];
  for (const port of ports) {
    const last = runs.at(-1)?.at(-1);
    if (last && last.protocol === port.protocol && last.number + 1 === port.number) runs.at(-1)?.push(port);
    else runs.push([port]);
  }
  return runs;
}

/** Of an image alone, they say nothing of what it offers. */
const notPassedOn = ["HOME", "PATH"];

/** "DB_PORT_5432_TCP_ADDR=172.17.0.2", ..., "DB_NAME=/web/db", "DB_ENV_NAME=value". */
export function linkVariables({ alias, name, address, ports, env }: Linked): string[] {
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  const sorted = [...new Set(ports)].map(parsePort).sort(inOrder);
  const url = ({ number, protocol }: Port): string => `${protocol}://${address}:${number}`;
  const key = ({ number, protocol }: Port): string => `${prefix}_PORT_${number}_${protocol.toUpperCase()}`;
  const ofPorts = sorted.flatMap((port) => [
    `${key(port)}=${url(port)}`,
    `${key(port)}_ADDR=${address}`,
    `${key(port)}_PORT=${port.number}`,
    `${key(port)}_PROTO=${port.protocol}`,
  ]);
  const ofRuns = runsOf(sorted).flatMap((run) => {
    const [first, last] = [run[0]!, run.at(-1)!];
    if (first === last) return [];
    return [
      `${key(first)}_START=${url(first)}`,
      `${key(first)}_PORT_START=${first.number}`,
      `${key(first)}_END=${url(last)}`,
      `${key(first)}_PORT_END=${last.number}`,
    ];
  });
  const ofEnv = env.flatMap((pair) => {
    const [key = "", value] = pair.split(/=(.*)/s);
    return value === undefined || notPassedOn.includes(key) ? [] : [`${prefix}_ENV_${key}=${value}`];
  });
  return [
    ...sorted.slice(0, 1).map((port) => `${prefix}_PORT=${url(port)}`),
    ...ofPorts,
    ...ofRuns,
    `${prefix}_NAME=${name}`,
    ...ofEnv,
  ];
}
