/** Bun's fetch without the environment's proxies. */

const proxyVariables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/** fetch reads the proxies of the environment in its own way while it is called, whatever it is told: it is shown none. */
export const unproxied = (url: URL | string, init: RequestInit): Promise<Response> => {
  const hidden = proxyVariables.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]] as const]));
  for (const [name] of hidden) delete process.env[name];
  try {
    return fetch(url, init);
  } finally {
    for (const [name, value] of hidden) process.env[name] = value;
  }
};
