import type { Clock } from '#kernel';
import type { ApiClient } from '../client.js';
import type { Urls } from '../plane.js';
import type { CaCertificates, Examiner, Identity } from './examiner.js';
import { expectThat, NotVerified } from './narrator.js';
import { send, type Received } from './send.js';

/** What every step works with. */
export interface Workbench {
  urls: Urls;
  /** PEM; got as a file, by another way than the network. */
  root: string;
  api: ApiClient;
  examiner: Examiner;
  clock: Clock;
}

export interface Release {
  appId: string;
  releaseId: string;
}

export interface DeviceAccount {
  id: string;
  instanceId: string;
  username: string;
  secret: string;
}

/** A device after its enrollment. */
export interface EnrolledDevice {
  account: DeviceAccount;
  ca: CaCertificates;
  identity: Identity;
}

export const NODE_HTTP = "Node's own TLS and HTTP";

/** A member of a JSON answer as text; throws where it is not there. */
export function member(answer: unknown, path: string): string {
  let at = answer;
  for (const name of path.split('.')) at = (at as Record<string, unknown> | undefined)?.[name];
  if (typeof at !== 'string' && typeof at !== 'number')
    throw new NotVerified(`the answer lacks ${path}: ${JSON.stringify(answer)}`);
  return String(at);
}

/** An EST request; `as` by HTTP Basic, or with a certificate. */
export function est(
  { urls, root }: Pick<Workbench, 'urls' | 'root'>,
  operation: 'simpleenroll' | 'simplereenroll',
  csr: Buffer,
  as: DeviceAccount | Identity,
): Promise<Received> {
  const basic = 'secret' in as ? Buffer.from(`${as.username}:${as.secret}`).toString('base64') : undefined;
  const client = 'secret' in as ? {} : { cert: as.certificate, key: as.key };
  return send(`${urls.est}/.well-known/est/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/pkcs10', ...(basic !== undefined && { authorization: `Basic ${basic}` }) },
    body: csr.toString('base64'),
    tls: { ca: root, ...client },
  });
}

/** The one certificate of an EST answer, PEM. */
export async function certificateIn({ examiner }: Workbench, { status, body }: Received): Promise<string> {
  expectThat(status === 200, `EST answers ${status}: ${body.toString().trim()}`);
  const certificates = await examiner.certificates(Buffer.from(body.toString(), 'base64'));
  expectThat(
    certificates.length === 1 && certificates[0] !== undefined,
    `${certificates.length} certificates instead of one`,
  );
  return certificates[0];
}

/** Asks without a pause until the answer holds; how many milliseconds after `since` that was. */
export async function until(
  clock: Clock,
  since: number,
  within: number,
  what: string,
  ask: () => Promise<boolean>,
): Promise<number> {
  for (;;) {
    const holds = await ask();
    const ms = Math.round(clock.monotonicMs() - since);
    if (holds) return ms;
    expectThat(ms < within, `${what}: not within ${within} ms`);
  }
}
