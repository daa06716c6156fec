/** What a reader that is behind closes; whoever reads for it from the source awaits `open` before more. */
export class FlowGate {
  open: Promise<void> = Promise.resolve();
  #release = (): void => {};

  pause(): void {
    this.#release();
    this.open = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  resume(): void {
    this.#release();
  }
}
