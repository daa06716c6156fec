import { OnggiError } from "../lib/errors.ts";
import { display } from "./bytes.ts";

/** A tar that cannot be a layer, or a volume: malformed, truncated or hostile. `name` is a byte string. */
export class LayerInvalid extends OnggiError {
  constructor(name: string, offset: number, why: string) {
    super("layer_invalid", `tar entry "${display(name)}" at offset ${offset}: ${why}`);
  }
}
