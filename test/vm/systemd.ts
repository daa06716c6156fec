/**
 * systemd and a system bus for the root disk, so that the VM boots as a host of the systemd driver does: no more of a
 * distribution than systemd itself, dbus-daemon and the libraries they need.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { capture, unpackPackages } from "./apt.ts";

const SUITE = "trixie";

/** What the packages bring that no test needs and that every boot would read. */
const NEEDLESS = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/locale",
  "usr/share/bash-completion",
  "usr/share/zsh",
  "usr/lib/systemd/system-generators",
  "usr/lib/systemd/catalog",
  "usr/lib/x86_64-linux-gnu/gconv",
  "usr/lib/x86_64-linux-gnu/perl-base",
];

/** Debian's systemd, unpacked (about 15 MB to download): from the cache, or downloaded. Throws with apt's own words. */
export function fetchSystemd(cache: string): string {
  const home = join(cache, `systemd-${SUITE}`);
  if (!existsSync(home)) {
    unpackPackages(SUITE, home, (apt) =>
      apt
        .run("apt-get", [
          "install",
          "--no-install-recommends",
          "--print-uris",
          "systemd",
          "dbus-daemon",
          "dbus-system-bus-common",
        ])
        .split("\n")
        .flatMap((line) => /^'\S+' ([^_ ]+)_/.exec(line)?.[1] ?? []),
    );
  }
  return join(home, "root");
}

const SYSTEM_CONF = `[Manager]
DefaultStandardOutput=null
DefaultStandardError=null
LogTarget=console
LogLevel=warning
StatusUnitFormat=name
`;

const UNITS: Readonly<Record<string, string>> = {
  "onggi-test.target": `[Unit]
Requires=dbus.socket dbus.service onggi-test.service
DefaultDependencies=no
AllowIsolate=yes
`,
  "dbus.socket": `[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/dbus/system_bus_socket
`,
  "dbus.service": `[Unit]
DefaultDependencies=no
Requires=dbus.socket
After=dbus.socket
[Service]
Type=notify
ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation
`,
  "onggi-test.service": `[Unit]
DefaultDependencies=no
Requires=dbus.service
After=dbus.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/sbin/onggi-vm-run
`,
};

/** Lays systemd over a root disk's tree, whose /bin, /sbin, /lib and /lib64 lead to /usr; newer libraries replace the host's. */
export function installSystemd(tree: string, systemd: string): void {
  capture(["cp", "-a", "--remove-destination", `${systemd}/usr`, tree], tree);
  for (const path of NEEDLESS) rmSync(join(tree, path), { recursive: true, force: true });
  if (existsSync(join(systemd, "etc/dbus-1"))) cpSync(join(systemd, "etc/dbus-1"), join(tree, "etc/dbus-1"), { recursive: true });
  const units = join(tree, "etc/systemd/system");
  mkdirSync(units, { recursive: true });
  writeFileSync(join(tree, "etc/systemd/system.conf"), SYSTEM_CONF);
  for (const [name, text] of Object.entries(UNITS)) writeFileSync(join(units, name), text);
  // D-Bus would start these when they are asked for.
  for (const name of readdirSync(join(tree, "usr/share/dbus-1/system-services"))) {
    if (name !== "org.freedesktop.systemd1.service") rmSync(join(tree, "usr/share/dbus-1/system-services", name));
  }
  writeFileSync(join(tree, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
  chmodSync(join(tree, "etc/machine-id"), 0o444);
}

/** The first process, and what the kernel's command line tells it. */
export const SYSTEMD_INIT = "/usr/lib/systemd/systemd";
export const SYSTEMD_APPEND =
  "systemd.unit=onggi-test.target systemd.show_status=false systemd.gpt_auto=0 systemd.journald.forward_to_console=0";
