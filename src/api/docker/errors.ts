/** From conditions of the engine to Docker's answers: `{"message": ...}` with a status. */
import { OnggiError } from "../../lib/errors.ts";
import { HttpError } from "../http/errors.ts";
import type { HttpAnswer } from "../http/types.ts";

/** What the API itself finds wrong with a request. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** Codes of the engine's errors by the status Docker gives for that condition, where their names do not say it. */
const byStatus: Readonly<Record<number, string>> = {
  400: `cdi_device_not_found command_not_executable command_not_found conflicting_limits
    decompression_limit duplicate_mount is_a_directory key_password
    layer_too_large mount_source_missing no_command not_a_device not_copied
    not_a_directory not_permitted nothing_to_collect nothing_to_update paths_conflict port_not_published runtime_not_found target_exists too_many_links
    too_many_layers too_many_mounts unknown_group unknown_user unmapped_id unsupported_here unsupported_spec usage
    volume_driver_unknown volume_not_empty`,
  401: "registry_unauthorized",
  403: "address_in_use authorization_denied network_configuration_refused policy_refused rootfs_read_only signature_invalid signature_missing subnet_overlap volume_read_only",
  404: "bootstrap_unknown manifest_unknown no_image",
  409: "exec_running lease_ended lease_held mount_busy mount_covered not_attached not_running paused secrets_missing wrong_state",
  500: `cgroup_not_found invalid_cgroup_driver policy_invalid port_in_use registry_answer_invalid registry_config_invalid`,
  501: "no_logs",
  503: "addresses_exhausted cluster_unavailable engine_stopping listener_late",
  507: "out_of_disk",
};

const statuses: ReadonlyMap<string, number> = new Map(
  Object.entries(byStatus).flatMap(([status, codes]) =>
    codes.split(/\s+/).map((code): [string, number] => [code, Number(status)]),
  ),
);

/** What the name of a code says. */
const byName: readonly [RegExp, number][] = [
  [/^invalid_|_(invalid|unsupported|ambiguous)$/, 400],
  [/_not_found$/, 404],
  [/_(in_use|exists)$/, 409],
];

/** The status of a code; undefined for what is nobody's fault but ours or the host's. */
export const statusOfCode = (code: string): number | undefined =>
  statuses.get(code) ?? byName.find(([pattern]) => pattern.test(code))?.[1];

/** Words that clients look for. */
const spoken: Readonly<Record<string, (message: string) => string>> = {
  container_not_found: (message) => message.replace(/^no such container/, "No such container").replace(/; see .*$/, ""),
  network_not_found: (message) => message.replace(/^no such network: (.*); .*$/s, "network $1 not found"),
  network_configuration_refused: (message) => message.replace(/^network \S+: (?=cannot create endpoint)/, ""),
  network_exists: (message) => message.replace(/^there is a network (\S+) already.*$/s, "network with name $1 already exists"),
  volume_not_found: (message) => message.replace(/^no such volume: (.*); see .*$/s, "get $1: no such volume"),
  image_not_found: (message) =>
    message
      .replace(/^no such image/, "No such image")
      .replace(/; ".*$/, "")
      .replace(/^No such image: ([^\s/]*\/)*[^\s/:@]+$/, "$&:latest"),
  name_in_use: (message) =>
    message.replace(
      /^the container name "(.*)" is already in use by container (\w+);.*$/s,
      'Conflict. The container name "/$1" is already in use by container "$2". You have to remove (or rename) that container to be able to reuse that name.',
    ),
  invalid_name: (message) =>
    message.replace(/^container name "(.*)":.*$/s, "Invalid container name ($1), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
  invalid_signal: (message) => message.replace(/^no such signal: (.*);.*$/s, "Invalid signal: $1"),
  mount_source_missing: (message) =>
    message.replace(
      /^mount source (.*) for .*: no such file or directory$/s,
      'invalid mount config for type "bind": bind source path does not exist: $1',
    ),
  not_a_device: (message) => message.replace(/^--\S+: (stat .*)$/s, "$1"),
  wrong_state: (message) =>
    message
      .replace(/^cannot pause container (\S+): it is paused;.*$/s, "Container $1 is already paused")
      .replace(/^cannot unpause container (\S+): it is .*$/s, "Container $1 is not paused")
      .replace(/^cannot pause container (\S+): it is .*$/s, "Container $1 is not running")
      .replace(
        /^cannot remove container (\S+): it is (\w+);.*$/s,
        'cannot remove container "$1": container is $2: stop the container before removing or force remove',
      ),
};

/** Commands that Docker's line has as well. */
const SHARED = /\bonggi (?=(?:run|pull|login|import|load) )/g;

const COMMANDS =
  "attach|commit|compose|container|context|cp|create|engine|exec|export|image|images|inspect|kill|logs|manifest|network|node|port|ps|push|rm|rmi|save|snapshot|start|stop|system|tag|update|volume";

/** From a mark to the next clause, with one of them in between. */
const ADVICE = new RegExp(`[;.:,] (?:(?![;.:] ).)*?\\bonggi (?:${COMMANDS})\\b(?:(?!; ).)*`, "g");

/**
 * A message of the engine's without what it advises to do by a command of onggi's: who reads this has another one. A command that
 * both have is called by the other's name; of the rest the clause goes that names it.
 */
export const withoutAdvice = (message: string): string => message.replaceAll(SHARED, "docker ").replaceAll(ADVICE, "");

export interface Failure {
  readonly status: number;
  readonly message: string;
  /** Nobody has foreseen it. */
  readonly unforeseen: boolean;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof ApiError || error instanceof HttpError)
    return { status: error.status, message: error.message, unforeseen: false };
  if (!(error instanceof OnggiError))
    return { status: 500, message: error instanceof Error ? error.message : String(error), unforeseen: true };
  const { code, message } = error;
  return { status: statusOfCode(code) ?? 500, message: withoutAdvice(spoken[code]?.(message) ?? message), unforeseen: false };
}

export function failureAnswer({ status, message }: Pick<Failure, "status" | "message">): HttpAnswer {
  if (status === 304) return { status };
  return { status, headers: { "Content-Type": "application/json" }, body: `${JSON.stringify({ message })}\n` };
}
