/**
 * Asks a name server as fast as it answers, with so many questions under way, and prints answers per second and every fiftieth
 * question's time in milliseconds as JSON.
 *
 *     bun bench/dns-client.ts ADDRESS SECONDS UNDER-WAY NAME...
 */

import { encodeName } from "../src/networks/dns/message.ts";
import { connectSocket, EPOLL, Epoll, parseIp, SOCK, socketAddress, sysRaw } from "../src/sys/index.ts";

const [address = "", seconds = "", underWay = "", ...names] = process.argv.slice(2);
const questions = names.map((name) => Uint8Array.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...encodeName(name)!, 0, 1, 0, 1]));
const socket = connectSocket(socketAddress(parseIp(address), 53), SOCK.SOCK_DGRAM);
const sentAt = new Float64Array(65_536);
const times: number[] = [];
const buffer = new Uint8Array(4096);
let next = 0;
let answers = 0;

function ask(): void {
  const question = questions[next % questions.length]!;
  const id = next++ & 0xffff;
  question[0] = id >> 8;
  question[1] = id;
  sentAt[id] = performance.now();
  sysRaw("sendto", socket, question, question.length, 0, null, 0);
}

const epoll = new Epoll();
epoll.add(socket, EPOLL.EPOLLIN, () => {
  for (;;) {
    const length = sysRaw("recvfrom", socket, buffer, buffer.length, 0, null, null);
    if (length < 0) return;
    if ((buffer[3]! & 15) !== 0 || buffer[7] === 0) throw new Error("the answer has no address");
    answers += 1;
    const now = performance.now();
    if (answers % 50 === 0) times.push(now - sentAt[(buffer[0]! << 8) | buffer[1]!]!);
    if (now < end) ask();
  }
});

let end = Number.POSITIVE_INFINITY;
for (let index = 0; index < Number(underWay); index++) ask();
const warm = performance.now() + 500;
while (performance.now() < warm) epoll.wait(100);
answers = 0;
times.length = 0;
const start = performance.now();
end = start + Number(seconds) * 1000;
while (performance.now() < end) epoll.wait(100);
console.log(JSON.stringify({ rate: answers / ((performance.now() - start) / 1000), times }));
