import { request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";

export interface HttpAnswer {
  readonly status: number;
  /** Empty where it was not asked for. */
  readonly text: string;
}

/** One request over a connection of its own, through no proxy. Redirections are not followed. */
export function ask(
  url: string,
  options: { method: string; headers: Readonly<Record<string, string>>; insecure: boolean; signal: AbortSignal },
  withBody: boolean,
): Promise<HttpAnswer> {
  const { method, headers, insecure, signal } = options;
  const request = url.startsWith("https:") ? secureRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const how = { method, headers: { ...headers }, signal, agent: false as const, rejectUnauthorized: !insecure };
    const asked = request(url, how, (response) => {
      const answer = (text: string): void => {
        resolve({ status: response.statusCode ?? 0, text });
        asked.destroy();
      };
      response.on("error", reject);
      // a body need not have an end
      if (!withBody) return answer("");
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => answer(text));
    });
    asked.on("error", reject);
    asked.end();
  });
}
