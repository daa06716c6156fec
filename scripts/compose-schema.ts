/**
 * Writes build/compose-schema.js, the compose specification's JSON schema as a function: making one out of the schema takes ajv
 * 200 ms, which no command should wait for.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import standalone from "ajv/dist/standalone/index.js";
import schema from "../src/compose/load/compose-spec.json" with { type: "json" };

const ajv = new Ajv2020({
  allErrors: true,
  strict: false,
  validateFormats: false,
  ownProperties: true,
  messages: false,
  verbose: true,
  code: { source: true, esm: true, optimize: true },
});
// ajv's own comparison calls what objects have under the names of Object's methods
const equal = 'import { isDeepStrictEqual } from "node:util";';
const code = standalone(ajv, ajv.compile(schema)).replaceAll('require("ajv/dist/runtime/equal").default', "isDeepStrictEqual");
if (code.includes("require(")) throw new Error("the schema's code needs more of ajv than is given to it here");
mkdirSync("build", { recursive: true });
writeFileSync("build/compose-schema.js", `${equal}\n${code}`);
