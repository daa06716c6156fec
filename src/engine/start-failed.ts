import { OnggiError } from "../lib/errors.ts";

/** A container's process could not be started; `exitCode` is what a shell would say. */
export class StartFailed extends OnggiError {
  readonly exitCode: number;

  constructor(code: string, message: string, exitCode: number) {
    super(code, message);
    this.exitCode = exitCode;
  }
}
