import type { OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { createEst } from '#apps/est';
import type { AuthorityContext } from '#authority';
import { loadConfig } from '#kernel';
import { encodeCsr, readPublicKey, type CsrTemplate } from '#pki';
import { newKey, type DeviceKey } from '../../harness/device.js';
import { silent, type TestDatabase } from '../../harness/database.js';
import type { ClientIdentity } from '../../harness/manufacturer.js';
import { httpsRequest, type HttpsAnswer } from '../https-request.js';
import { selfSigned } from '../self-signed.js';

type Tls = NonNullable<Parameters<typeof httpsRequest>[2]>;
type CsrWishes = Partial<CsrTemplate>;

export interface Asking {
  operation?: 'simpleenroll' | 'simplereenroll';
  label?: string;
  identity?: Pick<ClientIdentity, 'cert' | 'key'>;
  key?: DeviceKey;
  /** Default: one without names. */
  csr?: Buffer;
  headers?: OutgoingHttpHeaders;
  tls?: Tls;
}

/** The EST plane over TLS on a real database. */
export interface EstPlane {
  est: AuthorityContext;
  base: string;
  app: NestFastifyApplication;
  ask(asking?: Asking): Promise<HttpsAnswer>;
  close(): Promise<void>;
}

export async function openEst(db: TestDatabase, env: Record<string, string> = {}): Promise<EstPlane> {
  const est = await db.context('est');
  const app = await createEst({
    config: loadConfig(env),
    authority: est,
    tls: await selfSigned(),
    cacerts: () => Promise.resolve([]),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
  });
  await app.listen(0, '127.0.0.1');
  const base = `https://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
  return {
    est,
    base,
    app,
    ask: (asking = {}) => httpsRequest(base, pathOf(asking), optionsOf(asking)),
    close: () => app.close(),
  };
}

export const pathOf = ({ operation = 'simpleenroll', label }: Asking): string =>
  `/.well-known/est/${label === undefined ? '' : `${label}/`}${operation}`;

export function optionsOf({ identity, key = newKey(), csr = plainCsr(key), headers, tls }: Asking): Tls {
  return {
    method: 'POST',
    rejectUnauthorized: false,
    headers: { 'content-type': 'application/pkcs10', ...headers },
    body: csr.toString('base64'),
    ...(identity && { cert: identity.cert, key: identity.key }),
    ...tls,
  };
}

/** Nothing but a key: the names are the registry's. */
export const plainCsr = (key: DeviceKey, wishes: CsrWishes = {}): Buffer =>
  encodeCsr({ subject: [], publicKey: readPublicKey(key.spki), ...wishes }, key.privateKey);

/** What a refusal left behind, besides its answer: the newest audit entry of one. */
export async function newestRefusal(
  db: TestDatabase,
): Promise<{ id: number; subject: string; actor: string; detail: Record<string, unknown> } | undefined> {
  const [row] = await db.sql<{ id: number; subject: string; actor: string; canonical: Buffer }>(
    `select id::int, subject, actor, canonical from audit
     where action = 'certificate.requested' and outcome = 'refused' order by id desc limit 1`,
  );
  if (row === undefined) return undefined;
  const { detail } = JSON.parse(row.canonical.toString('utf8')) as { detail: Record<string, unknown> };
  return { id: row.id, subject: row.subject, actor: row.actor, detail };
}

export async function counts(db: TestDatabase): Promise<{ certificates: number; devices: number; identities: number }> {
  const [row] = await db.sql<{ certificates: number; devices: number; identities: number }>(
    `select (select count(*)::int from certificates) as certificates, (select count(*)::int from devices) as devices,
       (select count(*)::int from device_identities) as identities`,
  );
  return row!;
}
