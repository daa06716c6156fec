/** A proxy for HTTPS: it makes tunnels (CONNECT), and leads every name to one place on loopback, as an inner network's would. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class ConnectProxy {
  /** What it was asked for: "registry.test:5000". */
  readonly tunnels: string[] = [];
  /** The credentials it was shown, as they stand in Proxy-Authorization. */
  readonly shown: (string | null)[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #port = 0;

  private constructor() {
    this.#server = createServer((client) => this.#serve(client));
  }

  static start(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    return new Promise((resolve, reject) => {
      proxy.#server.on("error", reject);
      proxy.#server.listen(0, "127.0.0.1", () => {
        const address = proxy.#server.address();
        if (typeof address === "object" && address) proxy.#port = address.port;
        resolve(proxy);
      });
    });
  }

  get domain(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #serve(client: Socket): void {
    this.#own(client);
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      client.off("data", read);
      const lines = head.subarray(0, end).toString("latin1");
      const match = /^CONNECT ([^ ]+):([0-9]+) HTTP\/1\.1/.exec(lines);
      if (!match) {
        client.end("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      this.tunnels.push(`${match[1]}:${match[2]}`);
      this.shown.push(/^proxy-authorization: *(.*)$/im.exec(lines)?.[1]?.trim() ?? null);
      const server = connect({ host: "127.0.0.1", port: Number(match[2]) }, () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n");
        server.write(head.subarray(end + 4));
        client.pipe(server);
        server.pipe(client);
      });
      this.#own(server);
      server.on("close", () => client.destroy());
      client.on("close", () => server.destroy());
    };
    client.on("data", read);
  }
}
