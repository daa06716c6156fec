import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import fc from "fast-check";
import type { Seccomp, SeccompRule } from "/work/main/src/oci/spec.ts";
import { seccompArch, seccompNativeArch, seccompSyscall } from "/work/main/src/sys/index.ts";
import { canonical, compileSeccomp } from "/work/main/src/runtime/seccomp/compile.ts";
import { defaultSeccomp } from "/work/main/src/runtime/seccomp/profile.ts";

interface Call {
  arch: number;
  number: number;
  args: bigint[];
}

/** Runs a seccomp program on one call, as the kernel does; returns the 32-bit answer. */
function interpret(program: Uint8Array, call: Call): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  for (const [index, value] of call.args.entries()) data.setBigUint64(16 + index * 8, value, true);
  const scratch = new Uint32Array(16);
  let a = 0;
  for (let pc = 0; pc < program.length / 8; pc++) {
    const code = view.getUint16(pc * 8, true);
    const [yes, no, k] = [view.getUint8(pc * 8 + 2), view.getUint8(pc * 8 + 3), view.getUint32(pc * 8 + 4, true)];
    const jump = (condition: boolean): void => {
      pc += condition ? yes : no;
    };
    if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x02) scratch[k] = a;
    else if (code === 0x60) a = scratch[k] as number;
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x05) pc += k;
    else if (code === 0x15) jump(a === k);
    else if (code === 0x25) jump(a > k);
    else if (code === 0x35) jump(a >= k);
    else if (code === 0x45) jump((a & k) !== 0);
    else if (code === 0x06) return k;
    else throw new Error(`instruction 0x${code.toString(16)} at ${pc}`);
  }
  throw new Error("ran off the end");
}

const ACTION = {
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_TRAP: 0x30000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
} as Record<string, number>;
const answerOf = (action: string, errnoRet = 1): number => ACTION[action] ?? 0x50000 | errnoRet;
const ENOSYS = answerOf("SCMP_ACT_ERRNO", 38);

function matches({ args = [] }: SeccompRule, call: Call): boolean {
  const one = ({ index, value, valueTwo = 0, op }: NonNullable<SeccompRule["args"]>[number]): boolean => {
    const [given, a, b] = [call.args[index] as bigint, BigInt(value), BigInt(valueTwo)];
    if (op === "SCMP_CMP_EQ") return given === a;
    if (op === "SCMP_CMP_NE") return given !== a;
    if (op === "SCMP_CMP_LT") return given < a;
    if (op === "SCMP_CMP_LE") return given <= a;
    if (op === "SCMP_CMP_GT") return given > a;
    if (op === "SCMP_CMP_GE") return given >= a;
    return (given & a) === b;
  };
  const repeated = new Set(args.map(({ index }) => index)).size < args.length;
  return args.length === 0 || (repeated ? args.some(one) : args.every(one));
}

/** What the profile says of a call, read rule by rule. */
function expected(profile: Seccomp, token: number, call: Call): number {
  const rules = profile.syscalls ?? [];
  const numbers = new Map(rules.flatMap(({ names }) => names.map((name) => [name, seccompSyscall(token, name) ?? -1])));
  const permissive = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"].includes(profile.defaultAction);
  if (!permissive && call.number > Math.max(...numbers.values(), -1) && numbers.size) return ENOSYS;
  const rule = rules.find((rule) => rule.names.some((name) => numbers.get(name) === call.number) && matches(rule, call));
  return rule ? answerOf(rule.action, rule.errnoRet) : answerOf(profile.defaultAction, profile.defaultErrnoRet);
}

const X86_64 = 0xc000003e;
const ops=["SCMP_CMP_EQ","SCMP_CMP_NE","SCMP_CMP_LT","SCMP_CMP_LE","SCMP_CMP_GT","SCMP_CMP_GE","SCMP_CMP_MASKED_EQ"];
const vals=[0,1,8,40,0x20000,0xffffffff,2**40]; const argv=[0n,1n,8n,40n,41n,0x20000n,0xffffffffn,2n**40n,2n**40n+1n,2n**40n-1n,2n**64n-1n];
const pick=(a:any)=>a[Math.random()*a.length|0];
const native=seccompNativeArch(); const num=seccompSyscall(native,"socket")!;
const cnt:any={}; const ex:any={};
for(let i=0;i<6000;i++){
  const n=1+(Math.random()*3|0); const same=Math.random()<0.5;
  const syscalls=Array.from({length:n},()=>({names:["socket"],action:"SCMP_ACT_ALLOW" as const,args:Array.from({length:1+(Math.random()*2|0)},(_, k)=>({index:same?0:k,op:pick(ops),value:pick(vals)}))}));
  const profile:any={defaultAction:"SCMP_ACT_ERRNO",syscalls}; let program; try{program=compileSeccomp(profile).program}catch(e:any){cnt[e.cause?.message??e.message]=(cnt[e.cause?.message??e.message]??0)+1;continue}
  for(let j=0;j<30;j++){const call={arch:native,number:num,args:[pick(argv),pick(argv),0n,0n,0n,0n] as bigint[]};const g=interpret(program,call),e=expected(profile,native,call);
   const k=g===e?"ok":(g===0x7fff0000?"TOO WIDE":"too narrow"); cnt[k]=(cnt[k]??0)+1; if(g!==e){const key=k; const size=JSON.stringify(syscalls).length; if(!ex[key]||ex[key].size<0||size<ex[key].size)ex[key]={size,r:JSON.stringify(syscalls.map(s=>s.args)),a:call.args.slice(0,2)}}}
}
console.log(cnt,ex);
