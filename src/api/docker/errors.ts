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

/** Codes of the engine's errors by the status Docker gives for that condition. What is not here is 500. */
const byStatus: Readonly<Record<number, string>> = {
  304: "already_running already_stopped",
  400: `usage no_command paths_conflict conflicting_limits nothing_to_update is_a_directory not_a_directory not_a_device not_permitted
    address_invalid archive_invalid compressed_data_invalid digest_invalid extra_host_invalid image_config_invalid key_invalid
    key_password layer_invalid manifest_invalid mount_target_invalid network_invalid network_mode_invalid node_invalid
    platform_invalid port_invalid reference_invalid
    invalid_capability invalid_cgroup_limit invalid_cgroup_parent invalid_cgroup_path invalid_change invalid_cpus
    invalid_device_rule invalid_filter invalid_list invalid_mount invalid_mount_option invalid_name invalid_namespace
    invalid_net_device invalid_restart_policy invalid_rlimit invalid_seccomp_profile invalid_security_option invalid_signal
    invalid_size invalid_spec invalid_time invalid_volume_name invalid_volume_option invalid_workdir
    cgroup_limit_unsupported duplicate_mount idmap_unsupported layer_too_large decompression_limit manifest_unsupported
    mount_source_missing mount_unsupported platform_unsupported runtime_not_found target_exists too_many_layers too_many_mounts
    unknown_group unknown_user unmapped_id unsupported_here unsupported_spec volume_driver_unknown container_ambiguous
    image_ambiguous network_ambiguous init_unsupported invalid_ps_arguments invalid_health_check command_not_found command_not_executable volume_not_empty`,
  401: "registry_unauthorized",
  403: "policy_refused signature_missing signature_invalid",
  404: `bootstrap_unknown container_not_found device_not_found endpoint_not_found exec_not_found file_not_found image_not_found
    manifest_list_member_not_found manifest_list_not_found manifest_unknown mount_not_found network_not_found no_image
    node_not_found platform_not_found volume_not_found`,
  409: `address_in_use endpoint_exists image_in_use manifest_list_exists mount_busy mount_covered mount_exists name_in_use
    network_exists network_in_use node_exists node_in_use not_running paused volume_exists volume_in_use wrong_state not_attached
    exec_running subnet_overlap`,
  501: "no_logs",
  503: "cluster_unavailable",
  507: "out_of_disk",
};

const statuses: ReadonlyMap<string, number> = new Map(
  Object.entries(byStatus).flatMap(([status, codes]) =>
    codes.split(/\s+/).map((code): [string, number] => [code, Number(status)]),
  ),
);

/** The status of a code; undefined for what is nobody's fault but ours or the host's. */
export const statusOfCode = (code: string): number | undefined => statuses.get(code);

/** Words that clients look for. */
const spoken: Readonly<Record<string, (message: string) => string>> = {
  container_not_found: (message) => message.replace(/^no such container/, "No such container").replace(/; see .*$/, ""),
  image_not_found: (message) => message.replace(/^no such image/, "No such image").replace(/; ".*$/, ""),
  registry_unauthorized: (message) => message.replace('"onggi login"', '"docker login"'),
};

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
  return { status: statuses.get(code) ?? 500, message: spoken[code]?.(message) ?? message, unforeseen: false };
}

export function failureAnswer({ status, message }: Pick<Failure, "status" | "message">): HttpAnswer {
  if (status === 304) return { status };
  return { status, headers: { "Content-Type": "application/json" }, body: `${JSON.stringify({ message })}\n` };
}
