import { OnggiError } from "../../lib/errors.ts";

/** Where an engine is: on this host, at a socket that was named, or on another host that ssh reaches. */
export type Endpoint =
  /** At the run directory's socket; started when none answers. */
  | { readonly kind: "local" }
  | { readonly kind: "unix"; readonly path: string }
  /** `path`: of the control socket there, if it is not that of the engine which `onggi` finds there. */
  | { readonly kind: "ssh"; readonly user?: string; readonly host: string; readonly port?: string; readonly path?: string };

export const LOCAL: Endpoint = { kind: "local" };

export type SshEndpoint = Extract<Endpoint, { kind: "ssh" }>;

const invalid = (message: string): OnggiError => new OnggiError("invalid_endpoint", message);

/** No part may be taken for an option of ssh's. */
const SSH = /^ssh:\/\/(?:([^-@/:\s][^@/:\s]*)@)?(?:\[([0-9a-fA-F:.]+)\]|([^-[\]:/@\s][^[\]:/@\s]*))(?::(\d{1,5}))?(\/[^\0]*)?$/;

/** "ssh://[USER@]HOST[:PORT][/SOCKET]" or "unix:///SOCKET". Throws `invalid_endpoint`. */
export function parseEndpoint(text: string): Endpoint {
  const [, path] = /^unix:\/\/(\/[^\0]+)$/.exec(text) ?? [];
  if (path !== undefined) return { kind: "unix", path };
  if (/^(tcp|https?):\/\//.test(text))
    throw invalid(`${text}: on TCP an engine serves Docker's clients only; onggi itself comes by ssh:// or unix://`);
  const [, user, bracketed, plain, port, socket] = SSH.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port ?? 0) > 65535)
    throw invalid(
      `${JSON.stringify(text.slice(0, 200))} is no address as in ssh://ann@engine.example or unix:///run/onggi/onggi.sock`,
    );
  return {
    ...{ kind: "ssh", host },
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port }),
    ...(socket === undefined || socket === "/" ? {} : { path: socket }),
  };
}

/** As it is written; the local one by its socket. */
export function addressOf(endpoint: Endpoint, local: string): string {
  if (endpoint.kind === "local") return local;
  if (endpoint.kind === "unix") return endpoint.path;
  const { user, host, port, path = "" } = endpoint;
  const named = host.includes(":") ? `[${host}]` : host;
  return `ssh://${user === undefined ? "" : `${user}@`}${named}${port === undefined ? "" : `:${port}`}${path}`;
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** Options, then the host: it comes last, behind all that could be taken for an option. */
const destination = ({ user, host, port }: SshEndpoint): string[] => [
  ...(user === undefined ? [] : ["-l", user]),
  ...(port === undefined ? [] : ["-p", port]),
  ...["--", host],
];

/** The command that prints what ssh's configuration says of that host, and connects to nothing. */
export const sshSettingsCommand = (endpoint: SshEndpoint): string[] => ["ssh", "-G", "-T", ...destination(endpoint)];

export interface SshCommandOptions {
  /** An engine is started there when none answers. */
  readonly start: boolean;
  /** In seconds: how often ssh asks a host that says nothing whether it is there. Absent: as ssh's configuration says. */
  readonly aliveInterval?: number | undefined;
}

/**
 * The command that connects its standard streams to that host's control socket. What ssh is to run there a shell reads: the path is
 * quoted.
 */
export function sshCommand(endpoint: SshEndpoint, { start, aliveInterval }: SshCommandOptions): string[] {
  const { path } = endpoint;
  const there = ["onggi", ...(path === undefined ? [] : ["--host", quoted(`unix://${path}`)])];
  return [
    ...["ssh", "-T", "-o", "ConnectTimeout=30"],
    ...(aliveInterval === undefined ? [] : ["-o", `ServerAliveInterval=${aliveInterval}`]),
    ...destination(endpoint),
    ...[...there, "system", "dial-stdio", "--control", ...(start ? [] : ["--no-start"])],
  ];
}
