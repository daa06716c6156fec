import { connect } from "node:net";
import { NetworkError } from "../errors.ts";

/** How long one endpoint may take, in milliseconds. */
const EACH_MS = 3000;

/** This host's address towards the first of those URLs that answers. @throws NetworkError cluster_unavailable */
export async function sourceAddress(urls: readonly string[]): Promise<string> {
  for (const url of urls) {
    const { hostname, port } = new URL(url);
    const address = await towards(hostname.replace(/^\[|\]$/g, ""), Number(port));
    if (address !== null) return address.replace(/^::ffff:(?=\d+\.)/, "");
  }
  throw new NetworkError("cluster_unavailable", `none of ${urls.join(", ")} takes a connection`);
}

const towards = (host: string, port: number): Promise<string | null> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: EACH_MS });
    const end = (address: string | null): void => {
      socket.destroy();
      resolve(address);
    };
    socket.once("connect", () => end(socket.localAddress ?? null));
    socket.once("timeout", () => end(null));
    socket.once("error", () => end(null));
  });
