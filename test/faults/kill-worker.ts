import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readPostmaster } from '../../apps/touchmark/src/postgres/postmaster.js';
import { readCertificate, readCrl, verifyCrl, type Certificate } from '#pki';
import { call } from '../harness/http.js';
import { ProcessInstance, type Ready } from '../harness/process-instance.js';
import { certIdOf, ocspRequest, verifiedBy } from '../responder/exchange.js';
import { Load } from './load.js';

export interface KillReport {
  kills: number;
  revocations: number;
  /** How often CRL and OCSP were fetched, read and verified meanwhile. */
  looks: number;
  /** What could not be read or verified. */
  broken: string[];
  /** From the last start of the worker until nothing that was revoked was found unpublished any more. */
  recoveryMs: number;
  unpublished: number;
}

const LIMIT_MS = 60_000;

/** The worker alone is killed with SIGKILL, over and over, while certificates are revoked and status is fetched. */
export async function killWorkerUnderLoad(plan: { kills: number; perSecond: number }): Promise<KillReport> {
  const planes = await ProcessInstance.prepared({}, ['--planes', 'est,api,status']);
  let worker: ProcessInstance | undefined;
  let load: Load | undefined;
  let view: View | undefined;
  try {
    const ready = await planes.start();
    worker = await workerBeside(planes);
    await worker.start();
    load = await Load.open(ready, plan.perSecond);
    view = await View.open(ready, load);
    load.start();
    const watching = view.watch();
    for (let n = 0; n < plan.kills; n++) {
      // At another moment of what the worker does each time.
      await pause(700 + ((n * 617) % 1500));
      await worker.kill();
      await worker.start();
    }
    await load.stop();
    const revoked = load.revokedCertificates();
    const { recoveryMs, open } = await view.untilPublished(revoked);
    view.stop();
    await watching;
    const { looks, broken } = view;
    return { kills: plan.kills, revocations: revoked.length, looks, broken, recoveryMs, unpublished: open.length };
  } finally {
    view?.stop();
    await worker?.dispose();
    await planes.dispose();
    await load?.abandon();
    load?.close();
  }
}

/** A worker in a process of its own, on the database and the secrets of the other. */
async function workerBeside(planes: ProcessInstance): Promise<ProcessInstance> {
  const postmaster = await readPostmaster(path.join(planes.home, 'pg'));
  if (postmaster === undefined) throw new Error('the database does not run');
  const password = (await readFile(path.join(planes.home, 'secrets/db-superuser'), 'utf8')).trim();
  const host = encodeURIComponent(postmaster.socketDirectory);
  const secret = encodeURIComponent(password);
  const DATABASE_URL = `postgres://postgres:${secret}@localhost:${postmaster.port}/touchmark?host=${host}`;
  const env = { DATABASE_URL, TOUCHMARK_SECRETS_DIR: path.join(planes.home, 'secrets') };
  return ProcessInstance.create(env, ['--planes', 'worker']);
}

/** Status as a relying party sees it: everything is read and verified before it is believed. */
class View {
  looks = 0;
  readonly broken: string[] = [];
  private stopping = false;

  private constructor(
    private readonly status: string,
    private readonly issuerId: string,
    private readonly issuer: Certificate,
    private readonly load: Load,
  ) {}

  static async open(ready: Ready, load: Load): Promise<View> {
    const { items } = (await load.send('GET', '/v1/issuers')).json<{
      items: { id: string; kind: string; pem: string }[];
    }>();
    const issuing = items.find(({ kind }) => kind === 'issuing');
    if (issuing === undefined) throw new Error('no issuing CA');
    return new View(ready.status, issuing.id, readCertificate(new X509Certificate(issuing.pem).raw), load);
  }

  /** Fetches again and again until `stop`. */
  async watch(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.crl();
        const newest = this.load.revokedCertificates().at(-1);
        if (newest !== undefined) await this.ocsp(newest);
        this.looks += 1;
      } catch (error) {
        this.broken.push(error instanceof Error ? error.message : String(error));
      }
      await pause(50);
    }
  }

  stop(): void {
    this.stopping = true;
  }

  /** The newest are asked for first. How long it takes to ask for thousands is not counted. */
  async untilPublished(serials: readonly string[]): Promise<{ recoveryMs: number; open: string[] }> {
    const begin = performance.now();
    let recoveryMs = 0;
    let open = await this.notInCrl(serials);
    const ask = async (again: () => Promise<string[]>) => {
      while (open.length > 0 && recoveryMs < LIMIT_MS) {
        await pause(100);
        open = await again();
        recoveryMs = Math.round(performance.now() - begin);
      }
    };
    await ask(() => this.notInCrl(open));
    if (open.length > 0) return { recoveryMs, open };
    open = await this.notInOcsp(serials.toReversed());
    await ask(() => this.notInOcsp(open));
    return { recoveryMs, open };
  }

  private async notInCrl(serials: readonly string[]): Promise<string[]> {
    const crl = await this.crl();
    return serials.filter((serial) => crl.find(serial) === undefined);
  }

  private async notInOcsp(serials: readonly string[]): Promise<string[]> {
    const open: string[] = [];
    for (const serial of serials) if ((await this.ocsp(serial)) !== 'revoked') open.push(serial);
    return open;
  }

  private async crl() {
    const reply = await call(`${this.status}/crl/${this.issuerId}.crl`);
    if (reply.status !== 200) throw new Error(`CRL: ${reply.status} ${reply.text}`);
    const crl = readCrl(reply.body);
    if (!verifyCrl(crl, this.issuer.publicKey)) throw new Error('the signature of the CRL is wrong');
    return crl;
  }

  private async ocsp(serial: string): Promise<string | undefined> {
    const { body, status, headers } = await call(`${this.status}/ocsp`, {
      method: 'POST',
      headers: { 'content-type': 'application/ocsp-request' },
      body: ocspRequest([certIdOf(this.issuer, serial)]),
    });
    return verifiedBy(this.issuer, { body, status, headers }).responses[0]?.status.status;
  }
}
