/**
 * A private base: the one directory and the one cgroup below which a container manager that a test starts keeps everything, and the
 * proof at the end that nothing of it is left.
 *
 *     const base = new PrivateBase("podman");
 *     ... podman --root `${base.path}/root` ... --cgroup-parent `base.group`
 *     await base.expectNothingLeft();   // the last test of a file
 *     base.remove();                    // afterAll: also after a failure
 */
import { chmodSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { slowness } from "./command.ts";
import { engineGroup, expectNoLeaks, findLeaks, onggiCgroups, type Snapshot, snapshot, unmountBelow } from "./leaks.ts";

export class PrivateBase {
  readonly path: string;
  /** The cgroup, below every hierarchy's root, that is to be the parent of all containers'. */
  readonly group: string;
  readonly #before: Snapshot;

  constructor(name: string) {
    this.#before = snapshot();
    this.path = mkdtempSync(join(tmpdir(), `onggi-${name}-`));
    // As /var/lib is: a container's root that is nobody on the host must get through.
    chmodSync(this.path, 0o711);
    this.group = engineGroup(this.path);
  }

  /** A path below it. */
  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  /**
   * Asserts that no process, mount, cgroup, loop device or network namespace of this base is there any more, but for the parent
   * group, which nobody but us may remove. `ignored` says which lines of `formatLeaks` do not count; those groups are removed too.
   */
  async expectNothingLeft(ignored: (line: string) => boolean = () => false): Promise<void> {
    const parent = (line: string): boolean => line.startsWith("cgroups: ") && line.endsWith(this.group);
    await expectNoLeaks(this.path, this.#before, 10 * slowness, (line) => parent(line) || ignored(line));
    for (const path of onggiCgroups(this.group).reverse()) rmdirSync(path);
  }

  /** Cleans up after whatever happened: kills what runs below this base, unmounts, removes cgroups and files. */
  remove(): void {
    for (const line of findLeaks(this.path, this.#before).processes) {
      const pid = Number(line.split(" ")[0]);
      attempt(() => process.kill(pid, "SIGKILL"));
    }
    attempt(() => unmountBelow(this.path));
    for (const path of onggiCgroups(this.group).reverse()) {
      // a killed process leaves its group a little later
      for (let tries = 0; tries < 50 && !attempt(() => rmdirSync(path)); tries += 1) Bun.sleepSync(20);
    }
    // What is still mounted below would be emptied with the rest.
    Bun.spawnSync(["rm", "-rf", "--one-file-system", this.path], { stderr: "ignore" });
  }
}

function attempt(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
