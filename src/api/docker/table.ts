/** The operations as the table of docs/api.md, which `scripts/generate-api.ts` writes there. */
import type { Operation } from "./operation.ts";

const spanOf = ({ since, until }: Pick<Operation, "since" | "until">): string =>
  [since && `from ${since}`, until && `before ${until}`].filter(Boolean).join(", ");

const row = (operation: Operation): string => {
  const { method, path, query = {}, summary, needs } = operation;
  const names = Object.keys(query).map((name) => `\`${name}\``);
  return `| \`${method} ${path.replaceAll("...}", "}")}\` | ${summary} | ${names.join(", ")} | ${spanOf(operation)} | ${needs} |`;
};

export const operationTable = (operations: readonly Operation[]): string =>
  [
    "| operation | what it does | parameters | versions | needs |",
    "| --- | --- | --- | --- | --- |",
    ...operations.map(row),
    "",
  ].join("\n");

/** `text` with the table in place of what stands between its two marks. */
export function withTable(text: string, operations: readonly Operation[]): string {
  return text.replace(
    /(<!-- operations -->\n)[\s\S]*?(<!-- end -->)/,
    (_, from: string, to: string) => `${from}${operationTable(operations)}${to}`,
  );
}
