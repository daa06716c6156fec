/** Which devices of CDI are meant by what Docker's `--gpus` and `--device` ask of drivers. Pure. */
import { OnggiError } from "../lib/errors.ts";
import { isCdiName } from "../oci/cdi.ts";
import type { DriverRequest } from "./types.ts";

const NVIDIA = "nvidia.com/gpu";

/** What NVIDIA's driver can, as Docker has it. */
const nvidiaCan = new Set(["gpu", "nvidia", "compute", "compat32", "display", "graphics", "ngx", "utility", "video"]);

const invalid = (problem: string): OnggiError => new OnggiError("device_driver_invalid", problem);

/** Names of CDI. `known`: those that there are. Throws "device_driver_invalid". */
export function namesOf(request: DriverRequest, known: ReadonlyMap<string, unknown>): string[] {
  const { driver = "", count = 0, ids = [], capabilities = [], options = {} } = request;
  if (driver === "cdi") {
    if (count !== 0) throw invalid("unexpected count in CDI device request: name the devices");
    if (Object.keys(options).length > 0) throw invalid("unexpected options in CDI device request: there are none");
    const wrong = ids.find((name) => !isCdiName(name));
    if (wrong !== undefined)
      throw invalid(`CDI device ${JSON.stringify(wrong)}: write VENDOR/CLASS=NAME, as in vendor.com/class=name`);
    return ids;
  }
  const able = capabilities.some((all) => all.every((capability) => nvidiaCan.has(capability)));
  const gpus = [...known.keys()].filter((name) => name.startsWith(`${NVIDIA}=`));
  if ((driver !== "" && driver !== "nvidia") || !able || gpus.length === 0) {
    const asked = `[${capabilities.map((all) => `[${all.join(" ")}]`).join(" ")}]`;
    throw invalid(`could not select device driver ${JSON.stringify(driver)} with capabilities: ${asked}`);
  }
  if (count !== 0 && ids.length > 0) throw invalid("cannot set both Count and DeviceIDs on device request");
  if (ids.length > 0) return ids.map((id) => `${NVIDIA}=${id}`);
  if (count >= 0) return Array.from({ length: Math.min(count, 1024) }, (_, index) => `${NVIDIA}=${index}`);
  return known.has(`${NVIDIA}=all`) ? [`${NVIDIA}=all`] : gpus;
}
