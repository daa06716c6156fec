/** Which proxy a request takes. Source: golang.org/x/net/http/httpproxy, whose reading of the variables Docker users know. */
export type Environment = Readonly<Record<string, string | undefined>>;

const variable = (env: Environment, name: string): string => env[name] || env[name.toLowerCase()] || "";

/** 127.0.0.0/8, ::1 and localhost, as they stand in a URL. */
export const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || /^127(?:\.[0-9]{1,3}){3}$/.test(hostname);

const ipv4 = (text: string): number | null => {
  const parts = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(text)?.slice(1).map(Number);
  return parts?.every((part) => part < 256) ? parts.reduce((sum, part) => sum * 256 + part, 0) : null;
};

const inNetwork = (host: string, network: string): boolean => {
  const [base = "", bits = ""] = network.split("/");
  const [address, start, size] = [ipv4(host), ipv4(base), Number(bits)];
  if (address === null || start === null || !/^[0-9]{1,2}$/.test(bits) || size > 32) return false;
  const block = 2 ** (32 - size);
  return Math.floor(address / block) === Math.floor(start / block);
};

const exempt = (url: URL, entry: string): boolean => {
  if (entry === "*") return true;
  const host = url.hostname.toLowerCase();
  if (entry.includes("/")) return inNetwork(host, entry);
  const withPort = /^(.*):([0-9]+)$/.exec(entry);
  const bare = entry.startsWith("[") || !entry.includes(":") || withPort !== null;
  const name = bare && withPort ? withPort[1]! : entry;
  if (bare && withPort && withPort[2] !== (url.port || (url.protocol === "https:" ? "443" : "80"))) return false;
  if (host === name || host === `[${name}]`) return true;
  const suffix = name.replace(/^\*?\.?/, ".");
  return host.endsWith(suffix);
};

/**
 * The proxy for a URL, or null: HTTPS_PROXY or HTTP_PROXY by its scheme, not for loopback, nor for what NO_PROXY names: "*", hosts,
 * domains (with their sub-domains), addresses, IPv4 networks, each also with a port.
 */
export const proxyFor = (url: URL, env: Environment): string | null => {
  const proxy = variable(env, url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY");
  if (proxy === "" || isLoopback(url.hostname)) return null;
  const entries = variable(env, "NO_PROXY").toLowerCase().split(",");
  if (entries.some((entry) => entry.trim() !== "" && exempt(url, entry.trim()))) return null;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
};
