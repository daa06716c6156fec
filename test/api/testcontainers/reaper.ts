/**
 * A reaper that speaks the protocol of testcontainers' Ryuk, whose own image the tests have no registry for. It listens on port 8080;
 * each line a client sends is a set of filters, as a query ("label=a=b&label=c"), which is answered with ACK. When the last client
 * has been gone for RYUK_RECONNECTION_TIMEOUT ("10s"), everything that any of the sets matches is removed through
 * /var/run/docker.sock, and it ends.
 */
const SOCKET = "/var/run/docker.sock";
const patience = Number.parseFloat(process.env.RYUK_RECONNECTION_TIMEOUT ?? "10") * 1000;

const sets = new Set<string>();
let clients = 0;
let timer: Timer | undefined;

async function ask(method: string, path: string): Promise<unknown> {
  const answer = await fetch(`http://docker${path}`, { method, unix: SOCKET });
  const text = await answer.text();
  console.log(`${method} ${path} ${answer.status} ${answer.ok ? "" : text}`);
  return text && answer.ok ? JSON.parse(text) : undefined;
}

async function reap(): Promise<void> {
  for (const set of sets) {
    const filters: Record<string, string[]> = {};
    for (const [key, value] of new URLSearchParams(set)) filters[key] = [...(filters[key] ?? []), value];
    const query = `filters=${encodeURIComponent(JSON.stringify(filters))}`;
    const containers = (await ask("GET", `/containers/json?all=1&${query}`)) as { Id: string }[];
    // not itself: it carries the label of the session that started it
    for (const { Id } of containers.filter((one) => !one.Id.startsWith(process.env.HOSTNAME!)))
      await ask("DELETE", `/containers/${Id}?force=1&v=1`);
    await ask("POST", `/networks/prune?${query}`);
    await ask("POST", `/volumes/prune?${query}`);
  }
  process.exit(0);
}

const left = () => {
  clients--;
  if (clients === 0) timer = setTimeout(reap, patience);
};

Bun.listen<{ text: string }>({
  hostname: "0.0.0.0",
  port: 8080,
  socket: {
    open(socket) {
      socket.data = { text: "" };
      clients++;
      clearTimeout(timer);
    },
    data(socket, chunk) {
      const lines = (socket.data.text + chunk.toString()).split("\n");
      socket.data.text = lines.pop()!;
      for (const line of lines) {
        sets.add(line.trim());
        socket.write("ACK\n");
      }
    },
    close: left,
  },
});
await ask("GET", "/version");
console.log("Started!");

export {};
