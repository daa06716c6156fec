import type { HttpHandler } from "./types.ts";

/** Tells of every request, when its answer begins, while `isOn` says so: "GET /v1.44/info 200 3 ms". */
export const loggedHandler =
  (handler: HttpHandler, isOn: () => boolean, log: (message: string) => void): HttpHandler =>
  async (request) => {
    if (!isOn()) return handler(request);
    const began = performance.now();
    const answer = await handler(request);
    // what stands behind the "?" may be long, and nobody else's business
    log(`${request.method} ${request.path.slice(0, 500)} ${answer.status} ${Math.round(performance.now() - began)} ms`);
    return answer;
  };
