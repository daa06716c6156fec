import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { dropInNames } from "./drop-ins.ts";
import { unitTypes } from "./keys.ts";
import { translate } from "./translate.ts";

const repository = `${import.meta.dir}/../../..`;
const unit = (name: string, text: string, ...dropIns: string[]) => ({
  ...{ name, path: `/u/${name}`, text },
  dropIns: dropIns.map((one, at) => ({ path: `/u/${name}.d/${at}.conf`, text: one })),
});
const made = (...units: ReturnType<typeof unit>[]) => translate(units, ["/bin/onggi"]);
/** What a service runs, and nothing else of it. */
const start = (...units: ReturnType<typeof unit>[]): string => {
  const { services, problems } = made(...units);
  expect(problems).toEqual([]);
  return /^ExecStart=(.*)$/m.exec(services[0]?.text ?? "")?.[1] ?? "";
};

test("a container, its network, volume and image", () => {
  const { services, problems } = made(
    unit(
      "web.container",
      `[Unit]
Description=The web
After=db.container

[Container]
Image=app.image
Volume=data.volume:/data:ro
Volume=./conf:/etc/app
Network=back.network:ip=10.1.0.5
PublishPort=8080:80
Exec=serve "a b" --port 80

[Service]
Restart=always

[Install]
WantedBy=multi-user.target default.target
`,
    ),
    unit("data.volume", "[Volume]\nLabel=a=b\n"),
    unit("back.network", "[Network]\nSubnet=10.1.0.0/24\nGateway=10.1.0.9\nInternal=yes\n"),
    unit("app.image", "[Image]\nImage=registry.example/app:1\nArch=arm64\n"),
    unit("db.container", "[Container]\nImage=db\nServiceName=database\n"),
  );
  expect(problems).toEqual([]);
  expect(services.map(({ name }) => name)).toEqual([
    ...["web.service", "data-volume.service", "back-network.service", "app-image.service", "database.service"],
  ]);
  expect(services[0]?.links).toEqual(["multi-user.target.wants/web.service", "default.target.wants/web.service"]);
  expect(services[0]?.text).toBe(`# Made of /u/web.container by onggi's generator.

[Unit]
Description=The web
After=database.service
SourcePath=/u/web.container
Wants=network-online.target
After=network-online.target
Wants=onggi.socket
After=onggi.socket onggi.service
Requires=data-volume.service
After=data-volume.service
Requires=back-network.service
After=back-network.service
Requires=app-image.service
After=app-image.service
RequiresMountsFor=/u/conf

[X-Container]
Image=app.image
Volume=data.volume:/data:ro
Volume=./conf:/etc/app
Network=back.network:ip=10.1.0.5
PublishPort=8080:80
Exec=serve "a b" --port 80

[Service]
Restart=always
ExecStartPre=-/bin/onggi rm -f -v systemd-%N
ExecStart=/bin/onggi run --name systemd-%N --sdnotify=started --publish 8080:80 -v systemd-data:/data:ro -v /u/conf:/etc/app --network name=systemd-back,ip=10.1.0.5 registry.example/app:1 serve "a b" --port 80
ExecStopPost=-/bin/onggi rm -f -v systemd-%N
Type=notify
NotifyAccess=main
KillMode=mixed
SyslogIdentifier=%N

[Install]
WantedBy=multi-user.target default.target
`);
  const starts = services.slice(1, 4).map(({ text }) => /^ExecStart=(.*)$/m.exec(text)?.[1]);
  expect(starts).toEqual([
    "/bin/onggi volume create --label a=b systemd-data",
    "/bin/onggi network create --ignore --internal --subnet 10.1.0.0/24 --gateway 10.1.0.9 systemd-back",
    "/bin/onggi pull --platform linux/arm64 registry.example/app:1",
  ]);
  expect(services[1]?.text).toContain("Type=oneshot\nRemainAfterExit=yes\n");
});

const run = "/bin/onggi run --name systemd-%N --sdnotify=started";
test.each([
  ["AddCapability=NET_ADMIN SYS_TIME", `${run} --cap-add NET_ADMIN --cap-add SYS_TIME a`],
  ['Environment=A=1 "B=two words"\nEnvironmentFile=env', `${run} -e A=1 -e "B=two words" --env-file /u/env a`],
  ["User=5\nGroup=6", `${run} --user 5:6 a`],
  ["ReadOnly=true", `${run} --read-only --tmpfs /run --tmpfs /tmp --tmpfs /var/tmp a`],
  ["ReadOnly=true\nReadOnlyTmpfs=no", `${run} --read-only a`],
  ["VolatileTmp=1", `${run} --tmpfs /tmp:rw,size=512M,mode=1777 a`],
  [
    "NoNewPrivileges=true\nSeccompProfile=/p\nUnmask=ALL\nSecurityLabelDisable=yes",
    `${run} --security-opt=no-new-privileges --security-opt=label=disable --security-opt seccomp=/p --security-opt systempaths=unconfined a`,
  ],
  ["RunInit=false\nHostName=h\nUserNS=host", `${run} --hostname h --userns host a`],
  ["DNS=1.1.1.1\nDNS=\nDNS=9.9.9.9", `${run} --dns 9.9.9.9 a`],
  ["Network=host", `${run} --network host a`],
  ["Network=lan:ip=10.1.0.5,mac=02:00:00:00:00:01", `${run} --network name=lan,ip=10.1.0.5,mac-address=02:00:00:00:00:01 a`],
  ["Network=db.container", `${run} --network container:systemd-db a`],
  ["Mount=type=volume,source=data.volume,target=/d", `${run} --mount type=volume,source=systemd-data,target=/d a`],
  [
    "LogDriver=passthrough\nLogOpt=tag=x\nPull=never\nAutoUpdate=registry",
    `${run} --log-opt tag=x --pull never --label io.containers.autoupdate=registry a`,
  ],
  ["PodmanArgs=--cpus 2\nGlobalArgs=--root /r", `/bin/onggi --root /r run --name systemd-%N --sdnotify=started --cpus 2 a`],
  [
    "ContainerName=mine\nNotify=healthy\nHealthCmd=test -e /ok",
    '/bin/onggi run --name mine --sdnotify=healthy --health-cmd "test -e /ok" a',
  ],
  ["[Service]\nType=oneshot", "/bin/onggi run --name systemd-%N --rm a"],
])("%j", (keys, wanted) => {
  const others = [unit("db.container", "[Container]\nImage=db\n"), unit("data.volume", "[Volume]\n")];
  expect(start(unit("web.container", `[Container]\nImage=a\n${keys}\n`), ...others)).toBe(wanted);
});

test("a volume of another file system, a network that goes with its service", () => {
  expect(start(unit("v.volume", "[Volume]\nDevice=tmpfs\nType=tmpfs\nOptions=size=1m\nUser=3\nVolumeName=mine\n"))).toBe(
    "/bin/onggi volume create --opt device=tmpfs --opt type=tmpfs --opt o=uid=3,size=1m mine",
  );
  const { services } = made(unit("n.network", "[Network]\nNetworkDeleteOnStop=true\nInterfaceName=br7\nOptions=mtu=1400\n"));
  expect(services[0]?.text).toContain(
    "ExecStart=/bin/onggi network create --ignore --opt mtu=1400 --opt com.docker.network.bridge.name=br7 systemd-n\n",
  );
  expect(services[0]?.text).toContain("ExecStopPost=-/bin/onggi network rm systemd-n\n");
});

test("reload, by a command and by a signal", () => {
  const lineOf = (keys: string) =>
    /^ExecReload=.*$/m.exec(made(unit("w.container", `[Container]\nImage=a\n${keys}\n`)).services[0]?.text ?? "")?.[0];
  expect(lineOf("ReloadCmd=nginx -s reload")).toBe("ExecReload=/bin/onggi exec systemd-%N nginx -s reload");
  expect(lineOf("ReloadSignal=HUP")).toBe("ExecReload=/bin/onggi kill -s HUP systemd-%N");
});

test("templates: what is enabled is an instance", () => {
  const { services, problems } = made(
    unit("w@.container", "[Container]\nImage=a\nExec=sleep %i\n[Install]\nWantedBy=multi-user.target\nDefaultInstance=7\n"),
    unit("x@.container", "[Container]\nImage=a\n[Install]\nWantedBy=multi-user.target\n"),
    unit(
      "w@9.container",
      "[Container]\nImage=a\n[Install]\nRequiredBy=a.target\nAlias=nine.service\n",
      "[Container]\nImage=\nImage=b\n",
    ),
    unit("v@.volume", "[Volume]\n"),
  );
  expect(problems).toEqual([]);
  expect(services.map(({ name, links }) => [name, ...links])).toEqual([
    ["w@.service", "multi-user.target.wants/w@7.service"],
    ["x@.service"],
    ["w@9.service", "nine.service", "a.target.requires/w@9.service"],
    ["v-volume@.service"],
  ]);
  expect(services[2]?.text).toContain("run --name systemd-%p_%i --sdnotify=started b\n");
});

describe("what is wrong is said with its place, and others are made all the same", () => {
  test.each([
    ["[Container]\nImage=a\nImge=b", '/u/w.container: line 3: [Container] has no key "Imge"; Image?'],
    ["[Container]\n\nImage=a\nPod=p.pod", "/u/w.container: line 4: Pod= cannot be had: there are no pods"],
    ["[Container]\nExec=a", "/u/w.container: [Container] has neither Image= nor Rootfs="],
    ["[Container]\nImage=a\nRootfs=/r", "line 3: Rootfs= stands in place of Image="],
    ["[Container]\nImage=a\nVolume=no.volume:/d", "line 3: Volume= names no.volume, and there is no such file"],
    ["[Container]\nImage=a\nNetwork=bad.network", "line 3: Network= names bad.network, which is wrong itself"],
    ["[Container]\nImage=a\nNotify=yes", "line 3: Notify=yes: a container cannot tell systemd itself"],
    ["[Container]\nImage=a\nRunInit=maybe", "line 3: RunInit=maybe: write true or false"],
    ["[Container]\nImage=a\nGroup=5", "line 3: Group= needs User="],
    ["[Container]\nImage=a\nPull=newer", "line 3: Pull=newer: there are always, missing and never"],
    ["[Container]\nImage=a\nUserNS=keep-id", "line 3: UserNS=keep-id: there are host, auto and private"],
    ["[Container]\nImage=a\nServiceName=../x", "line 3: ServiceName=../x: this is no unit's name"],
    ["[Container]\nImage=a\n[Install]\nWantedBy=../../x", "line 4: WantedBy=../../x: this is no unit's name"],
    ["[Container]\nImage=a\n[Service]\nType=forking", "line 4: Type=forking"],
    ["[Container]\nImage=a\nServiceName=good", "/u/w.container: there is a good.service of another file already"],
  ])("%j", (text, message) => {
    const { services, problems } = made(
      unit("good.container", "[Container]\nImage=a\n"),
      unit("bad.network", "[Network]\nDNS=1.1.1.1\n"),
      unit("w.container", text),
    );
    expect(services.map(({ name }) => name)).toEqual(["good.service"]);
    expect(problems[0]).toStartWith("/u/bad.network: line 2: DNS= cannot be had");
    expect(problems[1]).toContain(message);
  });

  test("files that are none of ours", () => {
    expect(
      made(unit("a.pod", "[Pod]\n"), unit("b.kube", "[Kube]\n"), unit("x y.container", "[Container]\nImage=a\n")).problems,
    ).toEqual([
      "/u/a.pod: there are no pods",
      "/u/b.kube: Kubernetes' files are for a kubelet, over CRI",
      "/u/x y.container: this is no unit file",
    ]);
  });
});

test("whatever the files say, nothing leaves the generator's directory and every command is one line", () => {
  const keys = Object.values(unitTypes).flatMap((one) => Object.keys(one.keys));
  const assignment = fc
    .tuple(fc.constantFrom(...keys, "WantedBy", "Alias", "Type"), fc.string())
    .map(([key, value]) => `${key}=${value}`);
  const section = fc.constantFrom("[Unit]", "[Container]", "[Network]", "[Volume]", "[Image]", "[Service]", "[Install]");
  const text = fc
    .array(fc.oneof(assignment, section, fc.string()), { maxLength: 12 })
    .map((lines) => `[Container]\nImage=a\n${lines.join("\n")}`);
  const name = fc.constantFrom("a.container", "b.network", "c.volume", "d.image", "e@.container", "f@x.volume");
  fc.assert(
    fc.property(fc.dictionary(name, text), (files) => {
      const { services, problems } = made(...Object.entries(files).map(([file, content]) => unit(file, content)));
      for (const problem of problems) expect(problem).toStartWith("/u/");
      for (const service of services) {
        for (const path of [service.name, ...service.links]) expect(path).toMatch(/^(?!\.)[^/]+(?:\/(?!\.)[^/]+)?$/);
        for (const line of service.text.trimEnd().split("\n")) expect(line).toMatch(/^(?:$|# |\[.*\]$|[A-Za-z0-9_-]+=)/);
      }
    }),
    { numRuns: 300 },
  );
});

test("the keys are Podman's", () => {
  const known = Object.values(unitTypes).flatMap(({ section, keys }) => Object.keys(keys).map((key) => `${section} ${key}`));
  expect(known.sort()).toEqual(readFileSync(`${repository}/scripts/quadlet-keys.txt`, "utf8").trim().split("\n").sort());
});

test("docs/systemd.md has each as it is", () => {
  const document = readFileSync(`${repository}/docs/systemd.md`, "utf8");
  for (const { section, keys } of Object.values(unitTypes)) {
    const rows = Object.entries(keys).map(([key, known]) => {
      const what = "flag" in known ? `\`${known.flag}\`` : known.kind === "refused" ? "refused" : "done";
      return `| \`${key}\` | ${what} | ${known.note} |`;
    });
    const table = document.split(`| [${section}] | here | |\n| --- | --- | --- |\n`)[1];
    expect(table?.split("\n\n")[0]?.trim().split("\n")).toEqual(rows);
  }
});

test("folders of drop-ins", () => {
  expect(dropInNames("a-b-c.container")).toEqual(["container.d", "a-.container.d", "a-b-.container.d", "a-b-c.container.d"]);
  expect(dropInNames("w@7.volume")).toEqual(["volume.d", "w@.volume.d", "w@7.volume.d"]);
});
