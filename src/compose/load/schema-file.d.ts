/** The compose specification's schema as a function, which scripts/compose-schema.ts writes. */
declare module "*/build/compose-schema.js" {
  import type { ValidateFunction } from "ajv";

  const validate: ValidateFunction;
  export default validate;
}
