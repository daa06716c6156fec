import { isAbsolute, relative } from "node:path";
import { OnggiError } from "../../lib/errors.ts";
import { type Path, type Position, pathText } from "./node.ts";

/** One thing that is wrong with a file: where, and in words what, and what to do. */
export interface Problem {
  at: Position;
  /** "services.web.ports[0]", or empty. */
  path: string;
  message: string;
}

const LIMIT = 20;

/** Files that make no project. Code `invalid_compose_file`; the message has a line for each problem: "FILE:LINE:COLUMN: PATH: words". */
export class ComposeFileError extends OnggiError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], directory: string) {
    const lines = problems.slice(0, LIMIT).map((problem) => problemLine(problem, directory));
    if (problems.length > LIMIT) lines.push(`... and ${problems.length - LIMIT} more`);
    super("invalid_compose_file", lines.join("\n"));
    this.problems = problems;
  }
}

/** A file's name as the user would write it: relative to `directory` if it is below that. */
export function shownFile(file: string, directory: string): string {
  if (file === "-") return "standard input";
  const path = relative(directory, file);
  return path === "" || path.startsWith("..") || isAbsolute(path) ? file : path;
}

const problemLine = ({ at, path, message }: Problem, directory: string): string =>
  `${shownFile(at.file, directory)}:${at.line}:${at.column}: ${path === "" ? "" : `${path}: `}${message}`;

/** Collects what is wrong, so that all of it is told at once. */
export class Problems {
  readonly #found: Problem[] = [];
  readonly #directory: string;

  /** Files are named relative to `directory`. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  add(at: Position, path: Path, message: string): void {
    this.#found.push({ at, path: pathText(path), message });
  }

  /** Throws ComposeFileError if anything was added, in the order of the files. */
  throwIfAny(): void {
    if (this.#found.length === 0) return;
    const files = [...new Set(this.#found.map(({ at }) => at.file))];
    const rank = (problem: Problem): number => files.indexOf(problem.at.file);
    const inOrder = this.#found.toSorted((a, b) => rank(a) - rank(b) || a.at.line - b.at.line || a.at.column - b.at.column);
    throw new ComposeFileError(inOrder, this.#directory);
  }
}
