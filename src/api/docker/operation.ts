/**
 * One operation of Docker's API: what it takes, what it answers and how, in one value that the router, `/openapi.json`, the
 * documentation and the tests share. See README.md for how to add one.
 */
import type { Engine } from "../../engine/index.ts";
import type { HttpAnswer, HttpRequest } from "../http/types.ts";
import type { Role } from "../rights/types.ts";
import type { Parameters, ValuesOf } from "./query.ts";
import type { Schema } from "./schema.ts";

/** Names in braces: "/containers/{id}/json" has `id`. One that may hold slashes ends in dots: "/images/{name...}/json". */
export type NamesIn<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends `${infer Long}...` ? Long : Name) | NamesIn<Rest>
  : never;

/** One request of an operation, read and found to be sound. */
export interface Call<Path extends string, P extends Parameters, B> {
  readonly engine: Engine;
  readonly path: Readonly<Record<NamesIn<Path>, string>>;
  readonly query: ValuesOf<P>;
  readonly body: B;
  /** "1.41": what the client speaks. See `isAtLeast`. */
  readonly version: string;
  readonly request: HttpRequest;
  readonly signal: AbortSignal;
}

export type Tag = "System" | "Container" | "Exec" | "Image" | "Network" | "Volume" | "Swarm" | "Plugin" | "Distribution";

/** What an answer says: words, and the shape of its JSON if it has one. */
export interface AnswerShape {
  readonly description: string;
  readonly schema?: Schema<unknown>;
  /** Of what is no JSON: "application/x-tar". */
  readonly content?: string;
}

export interface Definition<Path extends string, P extends Parameters, B> {
  /** As Docker's documentation names it: "ContainerList". */
  readonly id: string;
  readonly tag: Tag;
  readonly summary: string;
  /** What a client must be allowed. */
  readonly needs: Role;
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  readonly path: Path;
  /** First version that has it, and the first that has not. */
  readonly since?: string;
  readonly until?: string;
  readonly query?: P;
  readonly body?: Schema<B>;
  /** The body may be missing; it is then read as an empty object. */
  readonly bodyOptional?: boolean;
  /** The body is a stream that the operation reads itself. */
  readonly takes?: string;
  /** The connection is taken over: bytes both ways behind the head. */
  readonly hijacks?: boolean;
  readonly answers: Readonly<Record<number, string | AnswerShape>>;
  /** What is not as Docker has it, and why: for docs/docker-compat.md. */
  readonly differs?: string;
  readonly run: (call: Call<Path, P, B>) => HttpAnswer | Promise<HttpAnswer>;
}

/** An operation whose types nobody asks for any more. */
export type Operation = Omit<Definition<string, Parameters, unknown>, "run" | "body"> & {
  readonly body?: Schema<unknown>;
  readonly run: (call: Call<string, Parameters, unknown>) => HttpAnswer | Promise<HttpAnswer>;
};

// biome-ignore lint/complexity/noBannedTypes: no parameters at all
export const operation = <const Path extends string, P extends Parameters = {}, B = undefined>(
  definition: Definition<Path, P, B>,
): Operation => definition as unknown as Operation;

const JSON_TYPE = { "Content-Type": "application/json" };

export const json = (status: number, value: unknown): HttpAnswer => ({
  status,
  headers: JSON_TYPE,
  body: `${JSON.stringify(value)}\n`,
});

export const empty = (status = 204): HttpAnswer => ({ status });

/** One JSON value a line as it comes. The head is sent at once. */
export async function* jsonLines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}
