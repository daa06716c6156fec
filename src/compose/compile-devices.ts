import type { ContainerRequest, DriverRequest } from "../api/control/types.ts";
import { omitAbsent } from "../lib/tables.ts";
import { isCdiName } from "../oci/cdi.ts";
import type { DeviceRequest, Service } from "./project.ts";

/** A service's devices: those of the host, and those that drivers know. */
export function compileDevices(service: Service): Pick<ContainerRequest, "devices" | "driverRequests"> {
  const { devices = [], gpus = [], deploy } = service;
  const ids = devices.map(({ source }) => source).filter(isCdiName);
  const asked = [
    ...(deploy?.resources?.reservations?.devices ?? []).map((request) => driverRequest(request)),
    ...gpus.map((request) => driverRequest(request, "gpu")),
    ...(ids.length > 0 ? [{ driver: "cdi", ids }] : []),
  ];
  const files = devices.filter(({ source }) => !isCdiName(source));
  return {
    ...(files.length === 0
      ? {}
      : {
          devices: files.map(({ source, target, permissions }) => ({
            ...{ hostPath: source, containerPath: target, access: permissions || "rwm" },
          })),
        }),
    ...(asked.length === 0 ? {} : { driverRequests: asked }),
  };
}

function driverRequest(request: DeviceRequest, ...more: string[]): DriverRequest {
  const { driver, count, device_ids, capabilities = [], options } = request;
  const all = [...capabilities, ...more];
  return omitAbsent({
    driver: driver || undefined,
    count: count || undefined,
    ids: device_ids,
    capabilities: all.length > 0 ? [all] : undefined,
    options,
  });
}
