/** A condition of the domain that a client is told about. Only `api` and `cli` map it to a status. */
export class OnggiError extends Error {
  /** Stable, snake_case, part of the public interface: "container_not_found". */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "OnggiError";
    this.code = code;
  }
}

/** The message of anything thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
