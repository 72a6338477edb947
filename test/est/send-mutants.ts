import { expect } from '@jest/globals';
import { Agent } from 'node:https';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { toPem } from '#pki';
import { seededNumbers } from '../../libs/pki/src/testing/issuing.js';
import { crowding } from '../harness/crowding.js';
import type { TestDatabase } from '../harness/database.js';
import { makeDevice, makeEnrolled, makeProduct } from '../harness/fixtures.js';
import { makeRa } from '../harness/registration-authority.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';
import { familiesOf, type MutatedRequest } from './mutated-requests.js';

/** So many requests come from one address, which may fail a hundred times a minute: mutants are to meet more than that limit. */
const PER_ADDRESS = 400;
const LABEL = 'mutants';

export interface MutantsReport {
  /** Answers of each family by status. */
  answers: Record<string, Record<string, number>>;
  /** What was answered otherwise than with 4xx, or 200 or 304 where that may be; with all that it takes to send it again. */
  odd: string[];
  /** Of this thread, which is client and server; milliseconds, ascending. */
  cpu: number[];
  /** By the clock, whatever else the machine does; milliseconds, ascending. */
  wall: number[];
  /** Heap and buffers in use when nothing is left to collect, after each quarter; megabytes. */
  memory: number[];
}

/** Sends `count` mutants one after the other to the EST plane on a real database. The same seed sends the same again, but for keys. */
export async function sendMutants(db: TestDatabase, seed: string, count: number): Promise<MutantsReport> {
  const product = await makeProduct(await db.context('api'), db.operator);
  const server = await startEstServer(db);
  await decideLabel(db, LABEL, {
    profile: 'device',
    authentication: ['secret', 'certificate', 'ra'],
    operations: ['csrattrs', 'serverkeygen', 'fullcmc'],
  });
  const enrolled = await makeEnrolled(db, product);
  const identity = { cert: toPem('CERTIFICATE', enrolled.certificate), key: enrolled.key.pem };
  const families = Object.entries(
    familiesOf({
      fresh: await makeDevice(db, product),
      other: await makeDevice(db, product),
      enrolled,
      ra: await makeRa(db, product),
    }),
  );
  const order = families.flatMap((family) => Array.from({ length: family[1].share }, () => family));
  const below = seededNumbers(seed);
  const report: MutantsReport = { answers: {}, odd: [], cpu: [], wall: [], memory: [] };
  const sender = new Sender(server, identity);
  for (let sent = 0; sent < count; sent++) {
    const [name, { make }] = order[sent % order.length]!;
    const mutant = make(below);
    const [began, busy] = [performance.now(), process.threadCpuUsage()];
    const { status, text } = await sender.send(mutant);
    const { user, system } = process.threadCpuUsage(busy);
    report.wall.push(performance.now() - began);
    report.cpu.push((user + system) / 1000);
    const counts = (report.answers[name] ??= {});
    counts[status] = (counts[status] ?? 0) + 1;
    const done = (status === 200 || status === 304) && mutant.unsigned !== true;
    if (!done && (status < 400 || status >= 500)) {
      report.odd.push(`${status} ${text} after ${JSON.stringify(mutant)}`);
    }
    if ((sent + 1) % Math.floor(count / 4) === 0) report.memory.push(memoryInUse());
  }
  sender.end();
  await server.close();
  for (const times of [report.cpu, report.wall]) times.sort((a, b) => a - b);
  return report;
}

/** Keeps its connections for as long as an address is used. */
class Sender {
  private agent = new Agent();
  private sent = 0;

  constructor(
    private readonly server: EstServer,
    private readonly identity: { cert: string; key: string },
  ) {}

  async send({ operation, headers, body, identified }: MutatedRequest): Promise<HttpsAnswer> {
    const address = Math.floor(this.sent / PER_ADDRESS);
    if (this.sent++ % PER_ADDRESS === 0) {
      this.end();
      this.agent = new Agent({ keepAlive: true, maxSockets: 1 });
    }
    const method = operation === 'cacerts' || operation === 'csrattrs' ? 'GET' : 'POST';
    const options = {
      ...{ agent: this.agent, localAddress: `127.1.${(address >> 8) & 255}.${address & 255}`, headers },
      ...(identified && this.identity),
      ...(method === 'POST' && { body }),
    };
    return this.server.call(method, `/.well-known/est/${LABEL}/${operation}`, options);
  }

  end(): void {
    this.agent.destroy();
  }
}

function memoryInUse(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1_048_576;
}

const LIMIT_MS = 250;
/** Of the thread: a mutant that costs so much would be felt, and this says so on a crowded machine too. */
const BUSY_MS = 100;

/** Prints what came of it, and expects an answer to each, none of them a failure of ours or slow, and no growth of memory. */
export function expectSound(seed: string, report: MutantsReport, growthMb: number): void {
  process.stdout.write(describeReport(seed, report));
  const { answers, odd, cpu, wall, memory } = report;
  expect(odd).toEqual([]);
  // Whom a limit keeps out meets nothing of what is behind it.
  const limited = Object.values(answers).reduce((sum, of) => sum + (of[429] ?? 0), 0);
  expect(limited).toBeLessThan(wall.length / 100);
  expect(quantile(cpu, 0.999)).toBeLessThan(BUSY_MS);
  // By the clock it is another's turn as often as others wait for a core.
  expect(quantile(wall, 0.999)).toBeLessThan(LIMIT_MS * crowding());
  expect((memory.at(-1) ?? NaN) - (memory[0] ?? NaN)).toBeLessThan(growthMb);
}

const quantile = (ascending: number[], share: number): number =>
  ascending[Math.ceil(ascending.length * share) - 1] ?? NaN;

/** One line of it, and how the answers were spread. */
function describeReport(seed: string, { answers, cpu, wall, memory }: MutantsReport): string {
  const at = (times: number[]) => [0.5, 0.99, 0.999, 1].map((share) => quantile(times, share).toFixed(1)).join(' / ');
  return (
    `${wall.length} mutated EST requests, seed ${seed}: p50 / p99 / p99.9 / max by the clock ${at(wall)} ms, ` +
    `of the thread ${at(cpu)} ms, load a core ${crowding().toFixed(1)}; ` +
    `memory after each quarter ${memory.map((mb) => mb.toFixed(1)).join(', ')} MB\n${JSON.stringify(answers)}\n`
  );
}
