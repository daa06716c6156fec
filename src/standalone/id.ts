import { OnggiError } from "../lib/errors.ts";

const LIMIT = 1024;

/** Letters, digits and "_+-." as runc allows them: an id is a directory's name. Throws OnggiError `invalid_container_id`. */
export function checkId(id: string): void {
  const plain = id.length > 0 && id.length <= LIMIT && id !== "." && id !== ".." && /^[\w+.-]+$/.test(id);
  if (!plain) {
    const shown = JSON.stringify(id.length > 40 ? `${id.slice(0, 40)}...` : id);
    throw new OnggiError(
      "invalid_container_id",
      `invalid container ID format: ${shown}: want 1 to ${LIMIT} of a-z, A-Z, 0-9, _, +, - and .`,
    );
  }
}
