/**
 * What an answer of the Docker API costs: `_ping` and a list of containers over keep-alive connections, ours next to dockerd's.
 *
 *     bun bench/api-ping.ts /run/onggi/docker.sock /var/run/docker.sock
 */
const SECONDS = 2;

/** Requests a second and the median latency in microseconds, over so many connections. */
async function measure(socket: string, path: string, connections: number): Promise<{ perSecond: number; median: number }> {
  const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: docker\r\n\r\n`);
  const taken: number[] = [];
  const end = performance.now() + SECONDS * 1000;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      let sent = 0;
      let received = "";
      const send = (to: Bun.Socket<undefined>): void => {
        sent = performance.now();
        to.write(request);
      };
      void Bun.connect({
        unix: socket,
        socket: {
          open: send,
          data(from, chunk) {
            received += chunk.toString("latin1");
            const head = received.indexOf("\r\n\r\n");
            const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? Number.NaN);
            const whole = Number.isNaN(length) ? received.endsWith("0\r\n\r\n") : received.length >= head + 4 + length;
            if (head < 0 || !whole) return;
            received = "";
            const now = performance.now();
            taken.push(now - sent);
            if (now < end) send(from);
            else {
              from.end();
              resolve();
            }
          },
          error: (_, error) => reject(error),
        },
      }).catch(reject);
    });
  await Promise.all(Array.from({ length: connections }, one));
  taken.sort((a, b) => a - b);
  return { perSecond: Math.round(taken.length / SECONDS), median: Math.round(taken[taken.length >> 1]! * 1000) };
}

for (const socket of process.argv.slice(2)) {
  for (const path of ["/_ping", "/containers/json?all=1"]) {
    for (const connections of [1, 16]) {
      const { perSecond, median } = await measure(socket, path, connections);
      console.log(`${socket} ${path} ${connections} connections: ${perSecond} requests/s, median ${median} us`);
    }
  }
}

export {};
