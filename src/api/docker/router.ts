/** From a request to its operation: version, path, parameters, body, and errors in Docker's form. */
import type { Engine } from "../../engine/index.ts";
import type { HttpAnswer, HttpHandler, HttpRequest } from "../http/types.ts";
import type { Gate } from "../rights/rights.ts";
import { ApiError, failureAnswer, failureOf } from "./errors.ts";
import { openApi } from "./openapi.ts";
import type { Operation } from "./operation.ts";
import { type Parameters, parseQuery } from "./query.ts";
import type { Schema } from "./schema.ts";
import { isAtLeast, NEWEST, OLDEST } from "./versions.ts";

/** Bytes of a JSON body. */
const MAX_JSON = 16 * 1024 * 1024;

interface Pattern {
  readonly regex: RegExp;
  readonly names: readonly string[];
  readonly operation: Operation;
}

/** Operations of one method: those with a fixed path, and the others by the first part of theirs. */
interface Routes {
  readonly fixed: Map<string, Operation[]>;
  readonly patterns: Map<string, Pattern[]>;
}

const firstPart = (path: string): string => path.slice(1).split("/", 1)[0]!;

function patternOf(operation: Operation): Pattern {
  const names: string[] = [];
  const source = operation.path.replace(/\{(\w+)(\.\.\.)?\}/g, (_, name: string, long?: string) => {
    names.push(name);
    return long ? "(.+)" : "([^/]+)";
  });
  return { regex: new RegExp(`^${source}$`), names, operation };
}

function routesOf(operations: readonly Operation[]): Map<string, Routes> {
  const methods = new Map<string, Routes>();
  const add = <K, V>(map: Map<K, V[]>, key: K, value: V): void => void map.set(key, [...(map.get(key) ?? []), value]);
  for (const operation of operations) {
    const routes = methods.get(operation.method) ?? { fixed: new Map(), patterns: new Map() };
    methods.set(operation.method, routes);
    if (operation.path.includes("{")) add(routes.patterns, firstPart(operation.path), patternOf(operation));
    else add(routes.fixed, operation.path, operation);
  }
  return methods;
}

interface Found {
  readonly operation: Operation;
  readonly path: Record<string, string>;
}

const serves = ({ since, until }: { since?: string | undefined; until?: string | undefined }, version: string): boolean =>
  (since === undefined || isAtLeast(version, since)) && (until === undefined || !isAtLeast(version, until));

function find(methods: Map<string, Routes>, method: string, path: string, version: string): Found | undefined {
  const routes = methods.get(method);
  const fixed = routes?.fixed.get(path)?.find((operation) => serves(operation, version));
  if (fixed) return { operation: fixed, path: {} };
  for (const { regex, names, operation } of routes?.patterns.get(firstPart(path)) ?? []) {
    const match = serves(operation, version) ? regex.exec(path) : null;
    if (match) return { operation, path: Object.fromEntries(names.map((name, index) => [name, decodePart(match[index + 1]!)])) };
  }
  return undefined;
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ApiError(400, `invalid URL escape in ${JSON.stringify(part.slice(0, 100))}`);
  }
}

/** Which version is spoken, and the path behind it. Without one it is the newest. */
function versionOf(path: string): { version: string; path: string } {
  const [, given, rest] = /^\/v([0-9.]+)(\/.*)$/.exec(path) ?? [];
  if (given === undefined || rest === undefined) return { version: NEWEST, path };
  const [, major, minor] = /^(\d{1,5})\.(\d{1,5})$/.exec(given) ?? [];
  if (major === undefined || minor === undefined) throw new ApiError(400, `malformed API version ${given}`);
  if (Number(major) > 1 || isAtLeast(`1.${minor}`, `1.${Number(NEWEST.slice(2)) + 1}`))
    throw new ApiError(400, `client version ${given} is too new. Maximum supported API version is ${NEWEST}`);
  if (Number(major) < 1 || !isAtLeast(`1.${minor}`, OLDEST)) throw new TooOld(given);
  return { version: `1.${Number(minor)}`, path: rest };
}

/** Clients this old read no JSON errors. */
class TooOld extends ApiError {
  constructor(version: string) {
    super(
      400,
      `client version ${version} is too old. Minimum supported API version is ${OLDEST}, please upgrade your client to a newer version`,
    );
  }
}

function readQuery(parameters: Parameters, query: string, version: string): Record<string, unknown> {
  const given = parseQuery(query);
  return Object.fromEntries(
    Object.entries(parameters).map(([name, parameter]) => [
      name,
      parameter.read(serves(parameter, version) ? (given.get(name) ?? []) : [], name),
    ]),
  );
}

async function readBody(request: HttpRequest, schema: Schema<unknown>, optional: boolean): Promise<unknown> {
  const type = request.headers.get("content-type");
  const isJson = /^application\/json[ \t]*(;|$)/i.test(type ?? "");
  if (request.framing !== 0 && !isJson && !(optional && type === undefined))
    throw new ApiError(400, `unsupported Content-Type header (${type ?? ""}): must be 'application/json'`);
  const bytes = await request.body.bytes(MAX_JSON);
  if (bytes.length === 0) {
    if (optional) return schema.read({}, "");
    throw new ApiError(400, isJson ? "invalid JSON: got EOF while reading request body" : "a JSON body is missing");
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new ApiError(400, `invalid JSON: ${(error as Error).message}`);
  }
  return schema.read(optional && value === null ? {} : value, "");
}

export interface DockerApi {
  readonly engine: Engine;
  readonly operations: readonly Operation[];
  /** Of onggi. */
  readonly version: string;
  readonly log: (message: string) => void;
  readonly gate: Gate;
}

/** The handler of Docker's API over an engine: it never throws. */
export function dockerHandler({ engine, operations, version: ours, log, gate }: DockerApi): HttpHandler {
  const methods = routesOf(operations);
  const common = {
    "Api-Version": NEWEST,
    "Docker-Experimental": "false",
    Ostype: "linux",
    Server: `onggi/${ours} (linux)`,
  };
  let document: string | undefined;

  const answer = async (request: HttpRequest): Promise<HttpAnswer> => {
    const { version, path } = versionOf(request.path);
    if (path === "/openapi.json" && request.method === "GET") {
      document ??= JSON.stringify(openApi(operations, ours));
      return { status: 200, headers: { "Content-Type": "application/json" }, body: document };
    }
    const found = find(methods, request.method, path, version);
    if (!found) throw new ApiError(404, "page not found");
    const { operation } = found;
    gate.check(() => request.peer, operation.needs, operation.id);
    const query = readQuery(operation.query ?? {}, request.query, version);
    const body = operation.body ? await readBody(request, operation.body, operation.bodyOptional ?? false) : undefined;
    const call = {
      engine,
      path: found.path,
      query,
      body,
      version,
      request,
      get signal() {
        return request.signal;
      },
    };
    return operation.run(call);
  };

  return async (request) => {
    let made: HttpAnswer;
    try {
      made = await answer(request);
    } catch (error) {
      const failure = failureOf(error);
      if (failure.unforeseen && !request.signal.aborted)
        log(`${request.method} ${request.path}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
      made =
        error instanceof TooOld
          ? { status: 400, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: `${error.message}\n` }
          : failureAnswer(failure);
    }
    // behind 101 Docker has these, too
    return { ...made, headers: { ...common, ...made.headers } };
  };
}
