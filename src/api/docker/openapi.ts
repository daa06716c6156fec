/** The operations as an OpenAPI 3.1 document. */
import type { AnswerShape, Operation } from "./operation.ts";
import { NEWEST, OLDEST } from "./versions.ts";

type Json = Record<string, unknown>;

/** "since 1.30, before 1.44". */
const spanText = ({ since, until }: { since?: string | undefined; until?: string | undefined }): string =>
  [since && `since ${since}`, until && `before ${until}`].filter(Boolean).join(", ");

const withSpan = (text: string, span: { since?: string | undefined; until?: string | undefined }): string => {
  const words = spanText(span);
  return words === "" ? text : `${text} (${words})`;
};

function answerOf(answer: string | AnswerShape): Json {
  const { description, schema, content } = typeof answer === "string" ? { description: answer } : (answer as AnswerShape);
  if (schema) return { description, content: { [content ?? "application/json"]: { schema: schema.document } } };
  return content === undefined ? { description } : { description, content: { [content]: {} } };
}

const failure: Json = {
  description: "why not",
  content: { "application/json": { schema: { $ref: "#/components/schemas/ErrorResponse" } } },
};

function operationOf(operation: Operation): Json {
  const { id, tag, summary, path, query = {}, body, bodyOptional, takes, hijacks, needs, answers } = operation;
  const inPath = [...path.matchAll(/\{(\w+)(?:\.\.\.)?\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inQuery = Object.entries(query).map(([name, { document, description, since, until }]) => ({
    name,
    in: "query",
    description: withSpan(description, { since, until }),
    schema: document,
  }));
  const content = body ? { "application/json": { schema: body.document } } : takes ? { [takes]: {} } : undefined;
  return {
    operationId: id,
    tags: [tag],
    summary: withSpan(summary, operation),
    ...(inPath.length + inQuery.length > 0 ? { parameters: [...inPath, ...inQuery] } : {}),
    ...(content ? { requestBody: { required: !bodyOptional, content } } : {}),
    ...(hijacks ? { "x-hijacks": true } : {}),
    "x-needs": needs,
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, answerOf(answer)])),
      default: failure,
    },
  };
}

export function openApi(operations: readonly Operation[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = operation.path.replaceAll("...}", "}");
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: operationOf(operation) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Docker Engine API as served by onggi",
      version: NEWEST,
      description: `Versions ${OLDEST} to ${NEWEST} by a prefix such as /v1.41; served by onggi ${version}.`,
    },
    servers: [{ url: `/v${NEWEST}` }],
    paths,
    components: {
      schemas: { ErrorResponse: { type: "object", properties: { message: { type: "string" } }, required: ["message"] } },
    },
  };
}
